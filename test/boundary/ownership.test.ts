import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { expand, kmeans1d, prune } from '../../src/index'
import { locatedBinding } from '../../src/native/binding'

function ramp(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i) + 0.001)
}

describe('who owns the bytes of a running job', () => {
  test('1. a buffer that is transferred away during a job changes nothing', async () => {
    const expected = await kmeans1d(ramp(300000), { clusters: 16 })
    const values = ramp(300000)
    const running = kmeans1d(values, { clusters: 16 })
    structuredClone(values.buffer, { transfer: [values.buffer as ArrayBuffer] })
    globalThis.gc?.()
    expect((await running).centroids).toEqual(expected.centroids)
  })

  test('2. consume takes the caller`s bytes, and its array is empty afterwards', async () => {
    const values = ramp(1000)
    const result = await prune(values, { density: 0.5 }, { consume: true })
    expect(result.kept).toBe(500)
    expect(values.length).toBe(0)
  })

  test('3. a detached array, a shared one and an abort are errors with codes', async () => {
    const values = ramp(10)
    structuredClone(values.buffer, { transfer: [values.buffer as ArrayBuffer] })
    await expect(prune(values, { density: 0.5 })).rejects.toMatchObject({ code: 'ERR_DC_DETACHED' })
    const shared = new Float32Array(new SharedArrayBuffer(40)).fill(1)
    await expect(prune(shared, { density: 0.5 })).rejects.toMatchObject({ code: 'ERR_DC_SHARED' })
    await expect(prune(shared, { density: 0.5 }, { copyShared: true })).resolves.toMatchObject({ kept: 5 })
    await expect(prune(ramp(10), { density: 0.5 }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERR_DC_ABORTED',
    })
  })

  test('3b. a mask in shared memory is copied where that is asked for', async () => {
    const mask = new Uint32Array(new SharedArrayBuffer(4)).fill(0b1001)
    const options = { mask, count: 4 }
    const codes = Uint8Array.of(1, 0)
    const codebook = Float32Array.of(-1, 2)
    await expect(expand(codes, codebook, options)).rejects.toMatchObject({ code: 'ERR_DC_SHARED' })
    const values = await expand(codes, codebook, { ...options, copyShared: true })
    expect([...values]).toEqual([2, 0, 0, -1])
  })

  test('4. a worker that is terminated with jobs in flight takes nothing down', async () => {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      const native = require(workerData)
      const values = new Float32Array(4 << 20).map((_, i) => Math.sin(i))
      for (let job = 0; job < 4; job++) {
        native.pruneToCount(values, 1000, new Uint32Array(values.length / 32), new Float64Array(2), 2, new Int32Array(8), () => {})
      }
      setInterval(() => {}, 1000) // so that only terminate() ends this worker
      parentPort.postMessage('started')
    `
    const addon = path.resolve(locatedBinding().path!)
    for (let round = 0; round < 10; round++) {
      const worker = new Worker(code, { eval: true, workerData: addon })
      await new Promise((resolve) => worker.once('message', resolve))
      expect(await worker.terminate()).toBe(1)
    }
    expect((await prune(ramp(100), { density: 0.1 })).kept).toBe(10)
  })
})
