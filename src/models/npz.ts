import { DeepCompressionError, printable } from '../errors.js'
import {
  dtypesOf,
  loadChecked,
  type Model,
  type ModelEntry,
  type ModelMetadata,
  makeModel,
  type TensorSource,
} from './model.js'
import { npyParts, npyValues, readNpyHeader } from './npy.js'
import type { ByteSource } from './source.js'
import { readZipBeginning, readZipDirectory, readZipFile, type ZipEntry, ZipWriter } from './zip.js'

const SUFFIX = '.npy'
/** Enough for every header that numpy writes of rank 8; longer ones are read on. */
const BEGINNING_BYTES = 4096

/** A file of the archive as bytes, of which only the beginning is read now. */
function beginningOf(source: ByteSource, entry: ZipEntry): ByteSource {
  return {
    name: entry.name,
    length: entry.bytes,
    read: async (offset, length) =>
      (await readZipBeginning(source, entry, Math.max(BEGINNING_BYTES, offset + length))).slice(
        offset,
        offset + length,
      ),
    close: async () => {},
  }
}

/** Reads a NumPy archive (`savez`, `savez_compressed`): one tensor for each `name.npy`. */
export async function readNpz(source: ByteSource): Promise<Model> {
  const entries: ModelEntry[] = []
  for (const file of await readZipDirectory(source)) {
    if (!file.name.endsWith(SUFFIX)) {
      throw new DeepCompressionError('FEATURE', `npz: ${printable(file.name)} is not an array (.npy)`, {
        section: file.name,
      })
    }
    const name = file.name.slice(0, -SUFFIX.length)
    const header = await readNpyHeader(beginningOf(source, file), name)
    entries.push({
      name,
      shape: header.shape,
      dtype: header.dtype,
      load: async () => npyValues(name, header, (await readZipFile(source, file)).slice(header.dataAt)),
    })
  }
  return makeModel('npz', entries, {}, () => source.close())
}

export async function* writeNpz(
  tensors: readonly TensorSource[],
  metadata: ModelMetadata | undefined,
): AsyncGenerator<Uint8Array> {
  const dtypes = dtypesOf(metadata)
  const zip = new ZipWriter()
  for (const tensor of tensors) {
    const values = await loadChecked(tensor)
    yield* zip.file(
      `${tensor.name}${SUFFIX}`,
      npyParts(tensor.name, tensor.shape, dtypes.get(tensor.name) ?? 'F32', values),
    )
  }
  yield* zip.end()
}
