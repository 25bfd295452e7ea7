import { IMAGE_PIXELS, loadDigits, plainBatch, readIdx, shuffledBatches } from '../../src/demo/mnist.js'
import { randomBelow, randomOrder, randomWord } from '../../src/retrain/random.js'

/** One image with ink only at row 10, column 5, and a second one that is empty. */
function twoImages() {
  const pixels = new Uint8Array(2 * IMAGE_PIXELS)
  pixels[10 * 28 + 5] = 255
  return { count: 2, pixels, labels: Uint8Array.from([3, 8]) }
}

describe('random numbers', () => {
  test('depend on seed, stream and index alone', () => {
    expect(randomWord(1, 2, 3)).toBe(randomWord(1, 2, 3))
    const words = [
      randomWord(1, 2, 3),
      randomWord(2, 2, 3),
      randomWord(1, 3, 3),
      randomWord(1, 2, 4),
      randomWord(3, 2, 1),
    ]
    expect(new Set(words).size).toBe(5)
  })

  test('are even: each of ten values comes 9 to 11 times in a hundred', () => {
    const counts = new Array<number>(10).fill(0)
    for (let i = 0; i < 100000; i++) counts[randomBelow(10, 7, 1, i)]!++
    for (const count of counts) {
      expect(count).toBeGreaterThan(9500)
      expect(count).toBeLessThan(10500)
    }
  })

  test('an order holds every index once and differs from stream to stream', () => {
    const order = randomOrder(1000, 1, 0)
    expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(randomOrder(1000, 1, 1)).not.toEqual(order)
  })
})

describe('idx files', () => {
  const idx = (magic: number, sizes: number[], payload: number) => {
    const bytes = new Uint8Array(4 + 4 * sizes.length + payload)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, magic)
    sizes.forEach((size, i) => {
      view.setUint32(4 + 4 * i, size)
    })
    return bytes
  }

  test('give their payload', () => {
    expect(readIdx('x', idx(0x803, [2, 3, 1], 6), [2, 3, 1])).toHaveLength(6)
  })

  test.each([
    ['another rank', idx(0x801, [2, 3, 1], 6)],
    ['another size', idx(0x803, [2, 3, 2], 6)],
    ['a missing byte', idx(0x803, [2, 3, 1], 5)],
    ['a byte too many', idx(0x803, [2, 3, 1], 7)],
  ])('with %s are refused', (_, bytes) => {
    expect(() => readIdx('x', bytes, [2, 3, 1])).toThrow(expect.objectContaining({ code: 'ERR_DC_STRUCTURE' }))
  })

  test('MNIST has 60,000 and 10,000 images, the first a five and a seven', async () => {
    const [train, test] = await Promise.all([loadDigits('train'), loadDigits('test')])
    expect([train.count, train.labels[0], test.count, test.labels[0]]).toEqual([60000, 5, 10000, 7])
  })
})

describe('batches', () => {
  test('ink is 1 and paper 0', () => {
    const batch = plainBatch(twoImages(), 0, 2)
    expect(batch.pixels[10 * 28 + 5]).toBe(1)
    expect(batch.pixels.reduce((sum, value) => sum + value, 0)).toBe(1)
    expect(Array.from(batch.labels)).toEqual([3, 8])
    expect(Array.from(plainBatch(twoImages(), 1, 1).images)).toEqual([1])
  })

  test('a shift moves the ink by at most its number of pixels, to each of the places', () => {
    const batches = shuffledBatches(twoImages(), { size: 2, shift: 1, seed: 1, stream: 0 })
    const places = new Set<number>()
    for (let step = 0; step < 200; step++) {
      const batch = batches.at(step)
      places.add(batch.pixels.indexOf(1) % IMAGE_PIXELS)
    }
    const wanted = [9, 10, 11].flatMap((y) => [4, 5, 6].map((x) => y * 28 + x))
    expect([...places].sort((a, b) => a - b)).toEqual(wanted)
  })

  test('ink that leaves the frame does not come back on the other side', () => {
    const set = twoImages()
    set.pixels.fill(0)
    set.pixels[0] = 255
    const batches = shuffledBatches(set, { size: 2, shift: 1, seed: 1, stream: 0 })
    const places = new Set<number>()
    for (let step = 0; step < 200; step++) places.add(batches.at(step).pixels.indexOf(1) % IMAGE_PIXELS)
    expect([...places].sort((a, b) => a - b)).toEqual([-1, 0, 1, 28, 29])
  })

  test('each image comes once an epoch, in another order in the next', () => {
    const set = {
      count: 50,
      pixels: new Uint8Array(50 * IMAGE_PIXELS),
      labels: Uint8Array.from({ length: 50 }, (_, i) => i),
    }
    const batches = shuffledBatches(set, { size: 10, shift: 0, seed: 3, stream: 0 })
    const epoch = (first: number) => [0, 1, 2, 3, 4].flatMap((i) => Array.from(batches.at(first + i).labels))
    const [one, two] = [epoch(0), epoch(5)]
    expect([...one].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(two).not.toEqual(one)
    expect(epoch(0)).toEqual(one)
    // The label of an image is its place here.
    const { images, labels } = batches.at(7)
    expect(images).toEqual(labels)
  })
})
