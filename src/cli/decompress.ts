import type { Archive } from '../archive.js'
import { DeepCompressionError } from '../errors.js'
import { modelChunks, writeModel } from '../models/files.js'
import { unpackMetadata } from '../models/metadata.js'
import { formatOf, type ModelFormat, type ModelMetadata, type TensorSource } from '../models/model.js'
import type { NetLayer } from '../models/net.js'
import { elementCount, type JobOptions } from '../tensor.js'
import { clean } from './exit-code.js'
import { readLayers } from './layers.js'
import { openInput } from './open.js'
import { type Run, runCommand, type SharedOptions } from './run.js'
import { refuseExisting, STANDARD, writeStandardOutput } from './streams.js'

interface DecompressOptions extends SharedOptions {
  output: string
  format?: ModelFormat
  layers?: string
  force?: boolean
}

/** Tensors of an archive, each decoded when the writer asks for it. */
function* sources(archive: Archive, job: JobOptions, run: Run): Generator<TensorSource> {
  for (const [name, { shape, layout }] of archive.tensors) {
    const total = elementCount(shape)
    const counted =
      <T>(decode: () => Promise<T>) =>
      async () => {
        run.progress.onProgress({ stage: 'decompress', tensor: name, done: 0, total })
        const decoded = await decode()
        run.progress.advance(total)
        return decoded
      }
    const load = counted(() => archive.decode(name, job))
    if (layout === 'raw') yield { name, shape, load }
    else yield { name, shape, load, loadShared: counted(() => archive.decodeShared(name, job)) }
  }
}

/** The layers of an archive that was made of a `.net` file, in its order. */
function netLayers(archive: Archive, metadata: ModelMetadata | undefined): NetLayer[] | undefined {
  return metadata?.net?.map(([name, bits]) => ({ name, bits, shape: archive.tensors.get(name)?.shape ?? [] }))
}

export async function decompressCommand(input: string, options: DecompressOptions): Promise<void> {
  await runCommand(options, async (run) => {
    const { output } = options
    const format = options.format ?? (output === STANDARD ? undefined : formatOf(output))
    if (!format)
      throw new DeepCompressionError('ARG', 'standard output has no extension: name the format with --format')
    refuseExisting(output, options.force)
    const given = await readLayers(options.layers, format)
    const archive = await openInput(input, run.job.signal!)
    try {
      const metadata = unpackMetadata(archive.metadata)
      const layers = given ?? netLayers(archive, metadata)
      const tensors = [...sources(archive, run.job, run)]
      const weights = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0)
      run.progress.begin(weights)
      if (output === STANDARD) {
        if (format === 'tfjs')
          throw new DeepCompressionError('ARG', 'a tfjs model is several files; it needs a file name')
        await writeStandardOutput(modelChunks(format, tensors, metadata, layers))
        return
      }
      const save = { overwrite: options.force === true, signal: run.job.signal! }
      const files = await writeModel(output, format, tensors, metadata, save, layers)
      run.result(
        { file: input, output, format, files, tensors: tensors.length, weights },
        `${clean(output)}: ${tensors.length} ${tensors.length === 1 ? 'tensor' : 'tensors'}, ${weights.toLocaleString('en-US')} weights`,
      )
    } finally {
      archive.dispose()
    }
  })
}
