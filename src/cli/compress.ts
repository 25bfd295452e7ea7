import type { Archive } from '../archive.js'
import { compress } from '../compress.js'
import { DeepCompressionError } from '../errors.js'
import { readModel, readModelFrom } from '../models/files.js'
import { packMetadata } from '../models/metadata.js'
import { formatOf, type Model, type ModelFormat } from '../models/model.js'
import { memoryBytes } from '../models/source.js'
import type { Recipe } from '../recipe.js'
import { formatReport } from '../report.js'
import { elementCount, type QuantizedTensor, type WeightTensor } from '../tensor.js'
import { clean } from './exit-code.js'
import { readLayers } from './layers.js'
import { type Override, recipeFor } from './overrides.js'
import { type Run, runCommand, type SharedOptions } from './run.js'
import { readStandardInput, refuseExisting, STANDARD, writeStandardOutput } from './streams.js'

const LOSSLESS: Recipe = { rules: [] }

interface CompressOptions extends SharedOptions {
  output: string
  format?: ModelFormat
  layers?: string
  recipe?: string
  density?: Override[]
  clusters?: Override[]
  force?: boolean
}

async function openModel(input: string, options: CompressOptions, run: Run): Promise<Model> {
  const format = options.format ?? (input === STANDARD ? undefined : formatOf(input))
  const layers = await readLayers(options.layers, format)
  if (input !== STANDARD) return readModel(input, format, layers)
  return readModelFrom(memoryBytes('standard input', await readStandardInput(run.job.signal!)), format, layers)
}

/** A `.net` file is pruned and shared already: unless rules are given it stays as it is, code for code. */
function staysShared(model: Model, { recipe, density, clusters }: CompressOptions): boolean {
  return model.format === 'net' && !recipe && !density && !clusters
}

async function* tensorsOf(model: Model, shared: boolean): AsyncGenerator<WeightTensor | QuantizedTensor> {
  for (const { name, shape, load, loadShared } of model.entries) {
    yield shared && loadShared ? await loadShared() : { name, shape, values: await load() }
  }
}

/** The model's tensors, each counted as done when the next one is asked for. */
async function* counted(model: Model, shared: boolean, run: Run): AsyncGenerator<WeightTensor | QuantizedTensor> {
  for await (const tensor of tensorsOf(model, shared)) {
    const weights = elementCount(tensor.shape)
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
    const model = await openModel(input, options, run)
    try {
      run.progress.begin(model.entries.reduce((sum, { shape }) => sum + elementCount(shape), 0))
      const shared = staysShared(model, options)
      const recipe = shared ? LOSSLESS : await recipeFor(model, options)
      const archive = await compress(
        counted(model, shared, run),
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
