import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { prepareFile, saveFile, saveFileSync } from '../../src/container/save.js'
import { cleanup, removeTemporaries } from '../../src/container/temporaries.js'

let folder: string
let target: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-save-'))
  target = path.join(folder, 'model.dcz')
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

const OLD = Buffer.from('the old file')
const NEW = Buffer.from('the new file, which is longer')
const names = () => fs.readdirSync(folder).sort()
const asRoot = process.getuid?.() === 0

type Options = { overwrite?: boolean; verify?: boolean }
const FLAVOURS = {
  async: saveFile,
  sync: async (file: string, chunks: Uint8Array | Iterable<Uint8Array>, options?: Options) =>
    saveFileSync(file, chunks, options),
}

describe.each(Object.entries(FLAVOURS))('save (%s)', (_, save) => {
  it('01 writes a new file with the modes of umask and nothing else', async () => {
    const saved = await save(target, NEW)
    expect(saved).toEqual({ path: target, bytes: 29, crc32: 1215053018 /* Python's zlib.crc32 */ })
    expect(fs.readFileSync(target)).toEqual(NEW)
    expect(fs.statSync(target).mode & 0o777).toBe(0o666 & ~process.umask())
    expect(names()).toEqual(['model.dcz'])
  })

  it('02 replaces a file and keeps its mode; who has the old one open still reads it', async () => {
    fs.writeFileSync(target, OLD)
    fs.chmodSync(target, 0o640)
    const reader = fs.openSync(target, 'r')
    await save(target, NEW)
    expect(fs.readFileSync(target)).toEqual(NEW)
    expect(fs.statSync(target).mode & 0o777).toBe(0o640)
    expect(fs.readFileSync(reader)).toEqual(OLD)
    fs.closeSync(reader)
  })

  it('03 takes chunks of any sizes, empty ones too, and no bytes at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), async (chunks) => {
        await save(target, chunks)
        expect(fs.readFileSync(target)).toEqual(Buffer.concat(chunks))
      }),
      { numRuns: 100 },
    )
  })

  it('04 without overwrite leaves an existing file alone', async () => {
    fs.writeFileSync(target, OLD)
    await expect(save(target, NEW, { overwrite: false })).rejects.toMatchObject({
      code: 'ERR_DC_IO',
      message: expect.stringContaining('EEXIST'),
    })
    expect(fs.readFileSync(target)).toEqual(OLD)
    await save(path.join(folder, 'other.dcz'), NEW, { overwrite: false })
    expect(names()).toEqual(['model.dcz', 'other.dcz'])
  })

  it('05 without overwrite leaves a file alone that appears while the bytes are written', async () => {
    const chunks = (function* () {
      yield NEW
      fs.writeFileSync(target, OLD)
    })()
    await expect(save(target, chunks, { overwrite: false })).rejects.toMatchObject({ code: 'ERR_DC_IO' })
    expect(fs.readFileSync(target)).toEqual(OLD)
    expect(names()).toEqual(['model.dcz'])
  })

  it('06 writes through a symbolic link, also to a file that is not there yet, and the link stays', async () => {
    const real = path.join(folder, 'real')
    fs.mkdirSync(real)
    fs.symlinkSync('real/model.dcz', target)
    fs.symlinkSync('model.dcz', path.join(folder, 'link to link'))
    for (const bytes of [OLD, NEW]) {
      expect((await save(path.join(folder, 'link to link'), bytes)).path).toBe(path.join(real, 'model.dcz'))
      expect(fs.readFileSync(path.join(real, 'model.dcz'))).toEqual(bytes)
    }
    expect(fs.lstatSync(target).isSymbolicLink()).toBe(true)
    expect(fs.readdirSync(real)).toEqual(['model.dcz'])
  })

  it('07 says what is wrong with a target: link loop, folder, missing folder, read-only file, device', async () => {
    fs.symlinkSync('loop', path.join(folder, 'loop'))
    fs.writeFileSync(target, OLD)
    fs.chmodSync(target, 0o444)
    const cases: [string, string][] = [
      [path.join(folder, 'loop'), 'ELOOP'],
      [folder, 'EISDIR'],
      [path.join(folder, 'none', 'x.dcz'), 'ENOENT'],
      [target, 'EACCES'],
      ['/dev/null', 'regular file'],
    ]
    for (const [file, reason] of cases) {
      await expect(save(file, NEW)).rejects.toMatchObject({
        code: 'ERR_DC_IO',
        message: expect.stringContaining(reason),
      })
    }
    expect(fs.readFileSync(target)).toEqual(OLD)
    expect(names()).toEqual(['loop', 'model.dcz'])
  })

  it('08 leaves the old file when the bytes end in an error, and hands that error on', async () => {
    fs.writeFileSync(target, OLD)
    const broken = (function* () {
      yield NEW
      throw new RangeError('no more')
    })()
    await expect(save(target, broken)).rejects.toThrow(new RangeError('no more'))
    expect(fs.readFileSync(target)).toEqual(OLD)
    expect(names()).toEqual(['model.dcz'])
  })

  it('09 a hard link keeps the old bytes: the name is replaced, not the file', async () => {
    fs.writeFileSync(target, OLD)
    fs.linkSync(target, path.join(folder, 'second name'))
    await save(target, NEW)
    expect(fs.readFileSync(path.join(folder, 'second name'))).toEqual(OLD)
  })
})

describe('save', () => {
  it('20 twenty writers to one name leave one of their files, whole, and nothing else', async () => {
    const texts = Array.from({ length: 20 }, (_, i) => Buffer.alloc(50_000, String.fromCharCode(65 + i)))
    await Promise.all(texts.map((text) => saveFile(target, text)))
    expect(texts.some((text) => text.equals(fs.readFileSync(target)))).toBe(true)
    expect(names()).toEqual(['model.dcz'])
  })

  it('21 an abort ends it and leaves the old file', async () => {
    fs.writeFileSync(target, OLD)
    const controller = new AbortController()
    const chunks = (async function* () {
      for (;;) {
        yield Buffer.alloc(1 << 16)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    setTimeout(() => controller.abort(new Error('enough')), 30)
    await expect(saveFile(target, chunks, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ERR_DC_ABORTED',
      cause: new Error('enough'),
    })
    await expect(saveFile(target, NEW, { signal: controller.signal })).rejects.toMatchObject({ code: 'ERR_DC_ABORTED' })
    expect(fs.readFileSync(target)).toEqual(OLD)
    expect(names()).toEqual(['model.dcz'])
  })

  it('22 the temporary is private until it is published', async () => {
    let mode = 0
    const chunks = (function* () {
      yield NEW
      const [temporary] = names()
      mode = fs.statSync(path.join(folder, temporary!)).mode & 0o777
    })()
    await saveFile(target, chunks)
    expect(mode).toBe(0o600)
  })

  ;(asRoot ? it : it.skip)('23 an owner keeps the file that root saves over', async () => {
    fs.writeFileSync(target, OLD)
    fs.chownSync(target, 12345, 23456)
    await saveFile(target, NEW)
    expect([fs.statSync(target).uid, fs.statSync(target).gid]).toEqual([12345, 23456])
  })

  it('24 files prepared together get their names later, or none of them', async () => {
    fs.writeFileSync(target, OLD)
    const first = await prepareFile(target, NEW)
    const second = await prepareFile(target, NEW)
    expect(fs.readFileSync(target)).toEqual(OLD)
    await first.commit('shard.bin')
    await second.discard()
    expect(names()).toEqual(['model.dcz', 'shard.bin'])
    expect(fs.readFileSync(target)).toEqual(OLD)
  })

  it('25 cleanup removes what dead processes left and nothing else', async () => {
    const living = await prepareFile(target, NEW)
    const [mine] = names()
    const [, host] = /^\.dcz-tmp-([0-9a-f]{8})-/.exec(mine!)!
    const dead = `.dcz-tmp-${host}-4194305-77-0123456789abcdef` // above the largest pid of Linux
    const usedAgain = `.dcz-tmp-${host}-${process.pid}-1-0123456789abcdef` // our pid, another start time
    const old = '.dcz-tmp-00000000-5-77-0123456789abcdef'
    const fresh = '.dcz-tmp-00000001-5-77-0123456789abcdef'
    const others = ['.dcz-tmp-notes', 'model.dcz', `${dead}.bak`]
    for (const name of [dead, usedAgain, old, fresh, ...others]) fs.writeFileSync(path.join(folder, name), 'x')
    fs.utimesSync(path.join(folder, old), 1e9, 1e9)
    const removed = await cleanup(folder)
    const sweepable = process.platform === 'linux' ? [dead, usedAgain, old] : [dead, old]
    expect(removed.map((file) => path.basename(file)).sort()).toEqual(sweepable.sort())
    expect(names()).toEqual([mine!, fresh, ...others].sort())
    await living.discard()
    await expect(cleanup(path.join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_DC_IO' })
  })

  it('26 temporaries of this process go when it exits', async () => {
    await prepareFile(target, NEW)
    expect(names().length).toBe(1)
    removeTemporaries()
    expect(names()).toEqual([])
  })
})
