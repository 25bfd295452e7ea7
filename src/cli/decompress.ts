import type { Archive } from '../archive.js'
import { DeepCompressionError } from '../errors.js'
import { modelChunks, writeModel } from '../models/files.js'
import { unpackMetadata } from '../models/metadata.js'
import { formatOf, type ModelFormat, type TensorSource } from '../models/model.js'
import { elementCount, type JobOptions } from '../tensor.js'
import { clean } from './exit-code.js'
import { openInput } from './open.js'
import { type Run, runCommand, type SharedOptions } from './run.js'
import { refuseExisting, STANDARD, writeStandardOutput } from './streams.js'

interface DecompressOptions extends SharedOptions {
  output: string
  format?: ModelFormat
  force?: boolean
}

/** Tensors of an archive, each decoded when the writer asks for it. */
function* sources(archive: Archive, job: JobOptions, run: Run): Generator<TensorSource> {
  for (const [name, { shape }] of archive.tensors) {
    const load = async () => {
      run.progress.onProgress({ stage: 'decompress', tensor: name, done: 0, total: elementCount(shape) })
      const values = await archive.decode(name, job)
      run.progress.advance(values.length)
      return values
    }
    yield { name, shape, load }
  }
}

export async function decompressCommand(input: string, options: DecompressOptions): Promise<void> {
  await runCommand(options, async (run) => {
    const { output } = options
    const format = options.format ?? (output === STANDARD ? undefined : formatOf(output))
    if (!format)
      throw new DeepCompressionError('ARG', 'standard output has no extension: name the format with --format')
    refuseExisting(output, options.force)
    const archive = await openInput(input, run.job.signal!)
    try {
      const metadata = unpackMetadata(archive.metadata)
      const tensors = [...sources(archive, run.job, run)]
      const weights = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0)
      run.progress.begin(weights)
      if (output === STANDARD) {
        if (format === 'tfjs')
          throw new DeepCompressionError('ARG', 'a tfjs model is several files; it needs a file name')
        await writeStandardOutput(modelChunks(format, tensors, metadata))
        return
      }
      const files = await writeModel(output, format, tensors, metadata, {
        overwrite: options.force === true,
        signal: run.job.signal!,
      })
      run.result(
        { file: input, output, format, files, tensors: tensors.length, weights },
        `${clean(output)}: ${tensors.length} tensors, ${weights.toLocaleString('en-US')} weights`,
      )
    } finally {
      archive.dispose()
    }
  })
}
