import { DeepCompressionError, printable, type StatusName } from '../errors.js'
import type { NetLayer } from './net.js'

/** A message of protobuf's text form: every field with its values in order, each a word or a message. */
type Message = Map<string, (string | Message)[]>

function refuse(what: string, status: StatusName = 'STRUCTURE'): DeepCompressionError {
  return new DeepCompressionError(status, `prototxt: ${what}`, { section: 'prototxt' })
}

const TOKEN = /#[^\n]*|"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|[{}:]|[^\s{}:#"']+/g

function parse(text: string): Message {
  const open: Message[] = [new Map()]
  let field: string | null = null
  for (const [token, double, single] of text.matchAll(TOKEN)) {
    if (token.startsWith('#') || token === ':') continue
    const within = open.at(-1)!
    if (token === '}') {
      if (open.length === 1) throw refuse('a } too many')
      if (field !== null) throw refuse(`field ${printable(field)} has no value`)
      open.pop()
    } else if (field === null) {
      if (token === '{') throw refuse('a { without a name')
      field = token
    } else {
      const value = token === '{' ? new Map() : (double ?? single ?? token)
      const values = within.get(field)
      if (values) values.push(value)
      else within.set(field, [value])
      if (typeof value !== 'string') open.push(value)
      field = null
    }
  }
  if (open.length > 1) throw refuse('a } is missing')
  if (field !== null) throw refuse(`field ${printable(field)} has no value`)
  return open[0]!
}

function words(message: Message | undefined, key: string): string[] {
  return (message?.get(key) ?? []).filter((value) => typeof value === 'string')
}

function messages(message: Message | undefined, key: string): Message[] {
  return (message?.get(key) ?? []).filter((value) => typeof value !== 'string')
}

function whole(text: string, what: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw refuse(`${what} is ${printable(text)}, not a whole number`)
  return Number(text)
}

/** One layer of the net: type in one spelling ("INNER_PRODUCT" and "InnerProduct" are both INNERPRODUCT). */
interface Layer {
  name: string
  type: string
  bottoms: string[]
  tops: string[]
  message: Message
}

function layersOf(net: Message): Layer[] {
  return [...messages(net, 'layer'), ...messages(net, 'layers')]
    .filter((message) => !messages(message, 'include').some((rule) => words(rule, 'phase').includes('TRAIN')))
    .map((message) => ({
      name: words(message, 'name').at(-1) ?? '',
      type: (words(message, 'type').at(-1) ?? '').replaceAll('_', '').toUpperCase(),
      bottoms: words(message, 'bottom'),
      tops: words(message, 'top'),
      message,
    }))
}

const hasWeights = ({ type }: Layer) => type === 'CONVOLUTION' || type === 'INNERPRODUCT'

/**
 * Names of the layers that a `.net` file of this network holds, in its order, from the text of a Caffe prototxt: those of type
 * Convolution or InnerProduct.
 *
 * @throws ERR_DC_STRUCTURE: the text is no prototxt
 */
export function netLayerNames(prototxt: string): string[] {
  return layersOf(parse(prototxt))
    .filter(hasWeights)
    .map(({ name }) => name)
}

/** Height and width of a window: `kernel_size` once or twice, or `kernel_h` and `kernel_w`; likewise stride, pad, dilation. */
function pair(layer: Layer, fields: Message | undefined, both: string, stem: string, otherwise?: number): number[] {
  const of = (key: string) => words(fields, key).map((text) => whole(text, `${key} of layer ${printable(layer.name)}`))
  const listed = of(both)
  const [height, width] = [
    of(`${stem}_h`)[0] ?? listed[0] ?? otherwise,
    of(`${stem}_w`)[0] ?? listed.at(-1) ?? otherwise,
  ]
  if (height === undefined || width === undefined) throw refuse(`layer ${printable(layer.name)} has no ${both}`)
  return [height, width]
}

type Shape = readonly number[]
const product = (shape: Shape) => shape.reduce((all, dimension) => all * dimension, 1)
const ELEMENTWISE =
  /^(RELU|PRELU|ELU|LRN|DROPOUT|SOFTMAX|BATCHNORM|SCALE|BIAS|ELTWISE|POWER|SIGMOID|TANH|ABSVAL|BNLL|EXP|LOG|SPLIT)$/

/** Bottom (channels, height, width) -> top and weights of a convolution. */
function convolution(layer: Layer, [channels, ...size]: Shape, outputs: number): { top: Shape; weights: Shape } {
  const fields = messages(layer.message, 'convolution_param')[0]
  const groups = whole(words(fields, 'group')[0] ?? '1', `group of layer ${printable(layer.name)}`)
  const kernel = pair(layer, fields, 'kernel_size', 'kernel')
  const stride = pair(layer, fields, 'stride', 'stride', 1)
  const pad = pair(layer, fields, 'pad', 'pad', 0)
  const dilation = pair(layer, fields, 'dilation', 'dilation', 1)
  if (size.length !== 2) throw refuse(`layer ${printable(layer.name)} convolves what has no height and width`)
  if (groups === 0 || channels! % groups !== 0) {
    throw refuse(`layer ${printable(layer.name)} has ${channels} channels in ${groups} groups`)
  }
  const top = size.map((s, i) => Math.floor((s + 2 * pad[i]! - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1)
  return { top: [outputs, ...top], weights: [outputs, channels! / groups, ...kernel] }
}

/** Caffe rounds up, and leaves out a window that would begin in the padding. */
function pooled(layer: Layer, [channels, ...size]: Shape): Shape {
  const fields = messages(layer.message, 'pooling_param')[0]
  if (words(fields, 'global_pooling').includes('true')) return [channels!, 1, 1]
  const kernel = pair(layer, fields, 'kernel_size', 'kernel')
  const stride = pair(layer, fields, 'stride', 'stride', 1)
  const pad = pair(layer, fields, 'pad', 'pad', 0)
  const top = size.map((s, i) => {
    const windows = Math.ceil((s + 2 * pad[i]! - kernel[i]!) / stride[i]!) + 1
    return pad[i]! > 0 && (windows - 1) * stride[i]! >= s + pad[i]! ? windows - 1 : windows
  })
  return [channels!, ...top]
}

/** Shapes of the blobs that come from outside, without the batch. */
function inputs(net: Message): Map<string, Shape> {
  const blobs = new Map<string, Shape>()
  const dims = words(net, 'input_dim').map((text) => whole(text, 'input_dim'))
  const dimsOf = (shape: Message | undefined) => words(shape, 'dim').map((text) => whole(text, 'dim'))
  const shapes = messages(net, 'input_shape').map(dimsOf)
  words(net, 'input').forEach((name, i) => {
    const shape = shapes[i] ?? dims.slice(4 * i, 4 * i + 4)
    if (shape.length > 1) blobs.set(name, shape.slice(1))
  })
  for (const { type, tops, message } of layersOf(net)) {
    if (type !== 'INPUT') continue
    const given = messages(messages(message, 'input_param')[0], 'shape').map(dimsOf)
    tops.forEach((top, i) => {
      const shape = given[i] ?? given[0]
      if (shape && shape.length > 1) blobs.set(top, shape.slice(1))
    })
  }
  return blobs
}

/**
 * The layers of a `.net` file with their shapes, from the text of a Caffe prototxt that says the size of its input (a deploy prototxt:
 * `input_dim`, `input_shape` or a layer of type Input), computed as Caffe does. Codes have 8 bits in convolutions, else 4.
 *
 * @throws ERR_DC_STRUCTURE: no prototxt, or a layer with weights whose input has no known size; then give names and shapes as JSON
 */
export function netLayersOfPrototxt(prototxt: string): NetLayer[] {
  const net = parse(prototxt)
  const blobs = inputs(net)
  const found: NetLayer[] = []
  for (const layer of layersOf(net)) {
    const { name, type, bottoms, tops, message } = layer
    const known = bottoms.map((bottom) => blobs.get(bottom))
    const bottom = known[0]
    let top: Shape | undefined
    if (hasWeights(layer)) {
      if (!bottom) {
        throw refuse(
          `the size of what goes into layer ${printable(name)} is not known; a deploy prototxt says that of its input, or list the shapes as JSON`,
        )
      }
      const convolves = type === 'CONVOLUTION'
      const fields = messages(message, convolves ? 'convolution_param' : 'inner_product_param')[0]
      const outputs = whole(words(fields, 'num_output')[0] ?? '', `num_output of layer ${printable(name)}`)
      const made = convolves
        ? convolution(layer, bottom, outputs)
        : { top: [outputs], weights: [outputs, product(bottom)] }
      top = made.top
      found.push({ name, shape: made.weights, bits: convolves ? 8 : 4 })
    } else if (bottom && ELEMENTWISE.test(type)) top = bottom
    else if (bottom && type === 'POOLING') top = pooled(layer, bottom)
    else if (bottom && type === 'FLATTEN') top = [product(bottom)]
    else if (type === 'CONCAT' && known.every((shape) => shape !== undefined) && bottom) {
      top = [known.reduce((sum, shape) => sum + shape![0]!, 0), ...bottom.slice(1)]
    }
    if (type !== 'INPUT') for (const blob of tops) top ? blobs.set(blob, top) : blobs.delete(blob)
  }
  return found
}
