import { DeepCompressionError } from '../errors.js'
import { asArray, asObject, asText, type Json, parseJson, writeJson } from './json.js'
import { MODEL_FORMATS, type ModelFormat, type ModelMetadata } from './model.js'
import { isDtype } from './numbers.js'

/**
 * What a model file holds besides its tensors, as string pairs of an archive: one JSON text, cut to what a pair may hold
 * (65,535 bytes; format.md, DCZ-22) and numbered. JSON escapes what a pair must not hold.
 */
const KEY = 'deepcompress.model'
const VALUE_BYTES = 65_000
/** An archive's header is at most 1 MiB by default, names of tensors included. */
const TOTAL_BYTES_MOST = 960_000

function chunkKey(index: number): string {
  return `${KEY}.${String(index).padStart(4, '0')}`
}

function* cut(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at < bytes.length; ) {
    let end = Math.min(bytes.length, at + VALUE_BYTES)
    while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end-- // not inside a character
    yield Buffer.from(bytes.subarray(at, end)).toString('utf8')
    at = end
  }
}

/** Pairs for an archive; none when the tensors say it all. */
export function packMetadata(metadata: ModelMetadata): Map<string, string> {
  const packed = new Map<string, string>()
  const { pairs, dtypes, topology, net } = metadata
  if (pairs.length === 0 && dtypes.length === 0 && topology === undefined && net === undefined) return packed
  const text = writeJson(
    new Map<string, Json>([
      ['format', metadata.format],
      ['pairs', pairs],
      ['dtypes', dtypes],
      ['topology', topology ?? null],
      ...(net ? ([['net', net]] as [string, Json][]) : []),
    ]),
  )
  const bytes = Buffer.from(text)
  if (bytes.length > TOTAL_BYTES_MOST) {
    throw new DeepCompressionError(
      'LIMIT',
      `the model's own metadata has ${bytes.length} bytes; an archive takes at most ${TOTAL_BYTES_MOST}`,
      { section: 'metadata', limit: 'metadata', declared: bytes.length, allowed: TOTAL_BYTES_MOST },
    )
  }
  let index = 0
  for (const chunk of cut(bytes)) packed.set(chunkKey(index++), chunk)
  return packed
}

/** The inverse, from the pairs of an archive; undefined when there is nothing of ours. */
export function unpackMetadata(pairs: ReadonlyMap<string, string>): ModelMetadata | undefined {
  let text = ''
  for (let index = 0; pairs.has(chunkKey(index)); index++) text += pairs.get(chunkKey(index))
  if (text === '') return undefined
  const where = `metadata ${KEY}`
  const fields = asObject(parseJson(text, where), where)
  const format = asText(fields.get('format'), `${where}: format`) as ModelFormat
  if (!MODEL_FORMATS.includes(format)) throw invalid(where)
  const topology = fields.get('topology') ?? null
  const net = fields.get('net')
  return {
    format,
    pairs: pairsOf(fields.get('pairs'), where),
    dtypes: pairsOf(fields.get('dtypes'), where).map(([name, dtype]) => {
      if (!isDtype(dtype)) throw invalid(where)
      return [name, dtype]
    }),
    ...(topology === null ? {} : { topology: asText(topology, `${where}: topology`) }),
    ...(net === undefined ? {} : { net: netLayersOf(net, where) }),
  }
}

function netLayersOf(value: Json, where: string): [string, 4 | 8][] {
  return asArray(value, where).map((pair) => {
    const [name, bits, ...more] = asArray(pair, where)
    if (more.length > 0 || (bits !== 4 && bits !== 8)) throw invalid(where)
    return [asText(name, where), bits]
  })
}

function pairsOf(value: Json | undefined, where: string): [string, string][] {
  return asArray(value, where).map((pair) => {
    const [key, text, ...more] = asArray(pair, where)
    if (more.length > 0) throw invalid(where)
    return [asText(key, where), asText(text, where)]
  })
}

function invalid(where: string): DeepCompressionError {
  return new DeepCompressionError('STRUCTURE', `${where} is not what this package writes`, { section: 'metadata' })
}
