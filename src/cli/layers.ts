import { readFile } from 'node:fs/promises'
import { DeepCompressionError, isDeepCompressionError, printable } from '../errors.js'
import type { ModelFormat } from '../models/model.js'
import { type NetLayer, parseNetLayers } from '../models/net.js'
import { netLayersOfPrototxt } from '../models/prototxt.js'

/**
 * `--layers <file>`: names and shapes of the layers of a `.net` file, in its order. JSON (`{ "layers": [ ... ] }`), or a deploy prototxt.
 * What is wrong in the list is wrong usage (ERR_DC_ARG), not a damaged file.
 */
export async function readLayers(
  file: string | undefined,
  format: ModelFormat | undefined,
): Promise<NetLayer[] | undefined> {
  if (file === undefined) return undefined
  if (format !== 'net') throw new DeepCompressionError('ARG', '--layers is for .net files', { section: 'layers' })
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new DeepCompressionError('IO', `cannot read the layers ${printable(file)}: ${(error as Error).message}`, {
      section: file,
      cause: error,
    })
  }
  try {
    return text.trimStart().startsWith('{') ? parseNetLayers(text) : netLayersOfPrototxt(text)
  } catch (error) {
    if (!isDeepCompressionError(error)) throw error
    throw new DeepCompressionError('ARG', `${printable(file)}: ${error.message}`, { section: file, cause: error })
  }
}
