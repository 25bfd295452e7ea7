import { readFileSync } from 'node:fs'
import path from 'node:path'
import * as layout from '../../src/container/layout'
import { DEFAULT_LIMITS } from '../../src/container/limits'

/** The numbers of the format are written once on each side of the boundary; here the two lists are compared. */

const native = (file: string) => readFileSync(path.join(__dirname, '../../native/container', file), 'utf8')

function numberOf(source: string, name: string): number {
  const found = new RegExp(`\\b${name}\\s*=\\s*([^,;]+)`).exec(source)
  if (!found) throw new Error(`${name} is not in the header`)
  const text = found[1]!.replace(/(?:uint64_t|size_t)\{(\d+)\}/g, '$1')
  const shift = /^\(?(\d+)\)? << (\d+)\)?( - 1)?$/.exec(text)
  return shift ? Number(shift[1]) * 2 ** Number(shift[2]) - (shift[3] ? 1 : 0) : Number(text)
}

test('1. the constants of native/container/layout.h are those of src/container/layout.ts', () => {
  const source = native('layout.h')
  const pairs: [string, number][] = [
    ['kVersionMajor', layout.VERSION_MAJOR],
    ['kVersionMinor', layout.VERSION_MINOR],
    ['kPreambleBytes', layout.PREAMBLE_BYTES],
    ['kFooterBytes', layout.FOOTER_BYTES],
    ['kHeaderBytesLeast', layout.HEADER_BYTES_LEAST],
    ['kChunkBytes', layout.CHUNK_BYTES],
    ['kAlignedSectionBytes', layout.ALIGNED_SECTION_BYTES],
    ['kSectionAlignment', layout.SECTION_ALIGNMENT],
    ['kSectionCritical', layout.SECTION_CRITICAL],
    ['kSectionPayload', layout.SECTION_PAYLOAD],
    ['kNameBytesMost', layout.NAME_BYTES_MOST],
    ['kRankMost', layout.RANK_MOST],
    ['kDimensionMost', layout.DIMENSION_MOST],
    ['kWholeMost', Number.MAX_SAFE_INTEGER],
    ['kClustersMost', layout.CLUSTERS_MOST],
    ['kBlockLog2Least', layout.BLOCK_LOG2_LEAST],
    ['kBlockLog2Most', layout.BLOCK_LOG2_MOST],
    ['kIndexBitsLeast', layout.INDEX_BITS_LEAST],
    ['kIndexBitsMost', layout.INDEX_BITS_MOST],
    ['kContextElementsLog2', layout.CONTEXT_ELEMENTS_LOG2],
    ['kContextBitsFree', layout.CONTEXT_BITS_FREE],
    ['kContextBitsAByte', layout.CONTEXT_BITS_A_BYTE],
    ['kWidthMost', layout.WIDTH_MOST],
    ['kStrideMost', layout.STRIDE_MOST],
    ['kVarintBytesMost', layout.VARINT_BYTES_MOST],
    ['kFlagPruned', layout.FLAG_PRUNED],
    ['kFlagSourceOrder', layout.FLAG_SOURCE_ORDER],
    ['kCodebookFormShift', layout.CODEBOOK_FORM_SHIFT],
    ['kLayouts', layout.LAYOUTS.length],
    ['kCodebookForms', layout.CODEBOOK_FORMS.length],
  ]
  for (const [name, value] of pairs) expect([name, numberOf(source, name)]).toEqual([name, value])
  const magic = (name: string) => new RegExp(`${name}\\[8\\] = \\{([^}]+)\\}`).exec(source)![1]!.split(',').map(Number)
  expect(magic('kMagic')).toEqual([...layout.MAGIC])
  expect(magic('kEndMagic')).toEqual([...layout.END_MAGIC])
  for (const [i, name] of layout.LAYOUTS.entries()) expect(source).toContain(`${name} = ${i}`)
})

test('2. a descriptor crosses the boundary in the same order on both sides', () => {
  const source = native('descriptor.h')
  expect(numberOf(source, 'kDescriptorFields')).toBe(layout.DESCRIPTOR_FIELDS.length)
  const list = /numbers\[kDescriptorFields\] = \{([^}]+)\}/.exec(native('descriptor.cpp'))![1]!
  const camel = (name: string) => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase())
  const names = [...list.matchAll(/\bd\.(\w+)/g)].map((field) => camel(field[1]!))
  expect(names).toEqual([...layout.DESCRIPTOR_FIELDS])
})

test('3. both readers have the same default limits', () => {
  const source = native('reader.h')
  const native_ = [
    'header_bytes',
    'tensors',
    'sections',
    'metadata',
    'elements',
    'total_elements',
    'decoded_bytes',
  ].map((name) => numberOf(source, name))
  expect(native_).toEqual([
    DEFAULT_LIMITS.maxHeaderBytes,
    DEFAULT_LIMITS.maxTensors,
    DEFAULT_LIMITS.maxSections,
    DEFAULT_LIMITS.maxMetadata,
    DEFAULT_LIMITS.maxElements,
    DEFAULT_LIMITS.maxTotalElements,
    DEFAULT_LIMITS.maxDecodedBytes,
  ])
})
