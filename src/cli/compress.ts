import type { Archive } from '../archive.js'
import { compress } from '../compress.js'
import { DeepCompressionError } from '../errors.js'
import { readModel, readModelFrom } from '../models/files.js'
import { packMetadata } from '../models/metadata.js'
import type { Model, ModelFormat } from '../models/model.js'
import { memoryBytes } from '../models/source.js'
import { formatReport } from '../report.js'
import { elementCount, type WeightTensor } from '../tensor.js'
import { clean } from './exit-code.js'
import { type Override, recipeFor } from './overrides.js'
import { type Run, runCommand, type SharedOptions } from './run.js'
import { readStandardInput, refuseExisting, STANDARD, writeStandardOutput } from './streams.js'

interface CompressOptions extends SharedOptions {
  output: string
  format?: ModelFormat
  recipe?: string
  density?: Override[]
  clusters?: Override[]
  force?: boolean
}

async function openModel(input: string, format: ModelFormat | undefined, run: Run): Promise<Model> {
  if (input !== STANDARD) return readModel(input, format)
  return readModelFrom(memoryBytes('standard input', await readStandardInput(run.job.signal!)), format)
}

/** The model's tensors, each counted as done when the next one is asked for. */
async function* counted(model: Model, run: Run): AsyncGenerator<WeightTensor> {
  for await (const tensor of model.tensors) {
    const weights = tensor.values.length // the array may be taken away
    run.progress.onProgress({ stage: 'compress', tensor: tensor.name, done: 0, total: weights })
    yield tensor
    run.progress.advance(weights)
  }
}

async function write(archive: Archive, options: CompressOptions, run: Run): Promise<void> {
  if (options.output === STANDARD) return writeStandardOutput([await archive.toBytes()])
  await archive.save(options.output, { overwrite: options.force === true, signal: run.job.signal! })
}

export async function compressCommand(input: string, options: CompressOptions): Promise<void> {
  await runCommand(options, async (run) => {
    const { output } = options
    refuseExisting(output, options.force)
    if (output === STANDARD && options.json) {
      throw new DeepCompressionError('ARG', 'standard output takes the archive or the JSON, not both: use -o <file>')
    }
    const model = await openModel(input, options.format, run)
    try {
      run.progress.begin(model.entries.reduce((sum, { shape }) => sum + elementCount(shape), 0))
      const recipe = await recipeFor(model, options)
      const archive = await compress(
        counted(model, run),
        recipe,
        { ...run.job, consume: true },
        packMetadata(model.metadata),
      )
      try {
        await write(archive, options, run)
        if (output === STANDARD) return
        const report = archive.report()
        const layers = report.layers.map((layer) => ({ ...layer, name: clean(layer.name) }))
        run.result({ input, output, ...report }, formatReport({ ...report, layers }))
      } finally {
        archive.dispose()
      }
    } finally {
      await model.close()
    }
  })
}
