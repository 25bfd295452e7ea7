import { type AsyncChunks, type SaveOptions, saveFile } from '../container/save.js'
import { DeepCompressionError, printable } from '../errors.js'
import { formatOf, type Model, type ModelFormat, type ModelMetadata, type TensorSource } from './model.js'
import type { NetLayer } from './net.js'
import { readNetModel, writeNetModel } from './net-model.js'
import { readNpy, writeNpy } from './npy.js'
import { readNpz, writeNpz } from './npz.js'
import { readSafetensors, writeSafetensors } from './safetensors.js'
import { type ByteSource, openBytes } from './source.js'
import { readTfjs, writeTfjs } from './tfjs.js'

/** Opens a model file; the format is that of the extension unless it is named. `layers`: of a `.net` file. `close()` it. */
export async function readModel(
  file: string,
  format: ModelFormat = formatOf(file),
  layers?: readonly NetLayer[],
): Promise<Model> {
  if (format === 'tfjs') return readTfjs(file)
  return readModelFrom(await openBytes(file), format, layers)
}

/** A model from bytes (standard input): what it is shows in its first bytes unless the format is named. */
export async function readModelFrom(
  source: ByteSource,
  format?: ModelFormat,
  layers?: readonly NetLayer[],
): Promise<Model> {
  try {
    switch (format ?? (await sniff(source))) {
      case 'safetensors':
        return await readSafetensors(source)
      case 'npz':
        return await readNpz(source)
      case 'npy':
        return await readNpy(source)
      case 'net':
        return await readNetModel(source, layers)
      default:
        throw new DeepCompressionError('ARG', 'a tfjs model is several files, so it cannot come as one stream of bytes')
    }
  } catch (error) {
    await source.close()
    throw error
  }
}

async function sniff(source: ByteSource): Promise<ModelFormat> {
  const first = await source.read(0, Math.min(9, source.length))
  if (first[0] === 0x93 && first[1] === 0x4e) return 'npy'
  if (first[0] === 0x50 && first[1] === 0x4b) return 'npz'
  if (first[8] === 0x7b) return 'safetensors'
  throw new DeepCompressionError(
    'MAGIC',
    `${printable(source.name)} is no safetensors, npz or npy file (a .net file has no mark of its own: name the format)`,
    {
      section: source.name,
    },
  )
}

/** The bytes of a model of one file. `layers`: of a `.net` file. */
export function modelChunks(
  format: Exclude<ModelFormat, 'tfjs'>,
  tensors: readonly TensorSource[],
  metadata?: ModelMetadata,
  layers?: readonly NetLayer[],
): AsyncIterable<Uint8Array> {
  if (format === 'net') return writeNetModel(tensors, layers)
  if (format === 'safetensors') return writeSafetensors(tensors, metadata)
  return format === 'npz' ? writeNpz(tensors, metadata) : writeNpy(tensors, metadata)
}

/** Saves a model, atomically, one tensor in memory at a time; answers the files it wrote. */
export async function writeModel(
  file: string,
  format: ModelFormat,
  tensors: readonly TensorSource[],
  metadata?: ModelMetadata,
  options: SaveOptions = {},
  layers?: readonly NetLayer[],
): Promise<string[]> {
  if (format === 'tfjs') return writeTfjs(file, tensors, metadata, options)
  const chunks: AsyncChunks = modelChunks(format, tensors, metadata, layers)
  return [(await saveFile(file, chunks, options)).path]
}
