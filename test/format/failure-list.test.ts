import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { crc32c } from '../../src/container/crc32c'
import { openArchive } from '../../src/index'
import { build, golden, name, oneTensor, u32, u64, varint } from '../support/dcz'

/** Rows of the failure list (test/fuzz/README.md) that need a file system or a process of their own. */

const folder = mkdtempSync(path.join(os.tmpdir(), 'deep-compression-list-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (file: string) => path.join(folder, file)

async function code(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
    return 'ok'
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

const FLOATS = [...u32(0x3f800000), ...u32(0x40000000)] // 1, 2
const RAW = [1, 2, 1, 0]

describe('A15: a file that changes while it is read', () => {
  test('cut short: TRUNCATED, and the archive can be disposed of', async () => {
    writeFileSync(at('cut.dcz'), golden('sparse-rans.dcz'))
    const archive = await openArchive(at('cut.dcz'))
    const [tensor] = archive.tensors.keys()
    truncateSync(at('cut.dcz'), 1000)
    expect(await code(() => archive.decode(tensor!))).toBe('ERR_DC_TRUNCATED')
    expect(await code(() => archive.verify())).toBe('ERR_DC_TRUNCATED')
    archive.dispose()
  })

  test('grown: what was there is read', async () => {
    writeFileSync(at('grown.dcz'), golden('scalar.dcz'))
    const archive = await openArchive(at('grown.dcz'))
    truncateSync(at('grown.dcz'), 1 << 20)
    expect(await code(() => archive.verify())).toBe('ok')
    archive.dispose()
    expect(await code(() => openArchive(at('grown.dcz')))).toBe('ERR_DC_TRAILING')
  })

  test('another file renamed over it: the one that was opened is read', async () => {
    writeFileSync(at('old.dcz'), oneTensor(RAW, FLOATS, 2, 0))
    writeFileSync(at('new.dcz'), golden('scalar.dcz'))
    const archive = await openArchive(at('old.dcz'))
    renameSync(at('new.dcz'), at('old.dcz'))
    expect([...(await archive.decode('w'))]).toEqual([1, 2])
    archive.dispose()
  })
})

const onLinux = process.platform === 'linux' ? test : test.skip

describe('A16: what is no regular file', () => {
  test('a folder, a path that is not there: IO', async () => {
    expect(await code(() => openArchive(folder))).toBe('ERR_DC_IO')
    expect(await code(() => openArchive(at('nowhere.dcz')))).toBe('ERR_DC_IO')
  })

  onLinux('a FIFO that nobody writes, devices: IO at once', async () => {
    execFileSync('mkfifo', [at('fifo')])
    for (const file of [at('fifo'), '/dev/zero', '/dev/null', '/dev/full']) {
      expect([file, await code(() => openArchive(file))]).toEqual([file, 'ERR_DC_IO'])
    }
  })

  onLinux('a pseudo-file that says it has no bytes and has some: IO', async () => {
    expect(await code(() => openArchive('/proc/self/status'))).toBe('ERR_DC_IO')
  })
})

/** Stored zeros of `elements` floats as a hole of the file, then two floats "z" behind them. */
function sparseFile(file: string, elements: number): void {
  const CHUNK = 16 << 20
  const bytes = 4 * elements
  const zeros = crc32c(new Uint8Array(CHUNK))
  const sums: number[] = []
  for (let from = 0; from < bytes; from += CHUNK) {
    sums.push(...u32(bytes - from >= CHUNK ? zeros : crc32c(new Uint8Array(bytes - from))))
  }
  const parts = {
    tensors: [
      [...name('a'), 1, ...varint(elements), 1, 0],
      [...name('z'), ...RAW],
    ],
    sections: [
      [0x81, 0, ...varint(bytes), ...sums],
      [0x81, 1, ...varint(8), ...u32(crc32c(Uint8Array.from(FLOATS)))],
    ],
    totals: { stored: u64(bytes + 8), dense: u64(bytes + 8), entries: u64(0) },
  }
  const headerEnd = build(parts).length - 16
  const begin = Math.ceil(headerEnd / 64) * 64
  const fileBytes = begin + bytes + 8 + 16
  const whole = build({ ...parts, fileBytes, footer: [] })
  const descriptor = openSync(file, 'w')
  writeSync(descriptor, whole)
  ftruncateSync(descriptor, fileBytes)
  const END = [0x0a, 0x44, 0x43, 0x5a, 0x45, 0x4e, 0x44, 0x0a]
  writeSync(descriptor, Uint8Array.from([...FLOATS, ...u64(fileBytes), ...END]), 0, 24, begin + bytes)
  closeSync(descriptor)
}

/** Why a file with a hole of 16 GiB cannot be made in `folder`; null where it can. Nothing large is written to find out. */
function noHoles(): string | null {
  const file = at('hole')
  const descriptor = openSync(file, 'w')
  try {
    writeSync(descriptor, Uint8Array.of(1), 0, 1, 1 << 24)
    const { blocks, size } = fstatSync(descriptor)
    if (512 * blocks > size / 2) return 'files have no holes here'
    ftruncateSync(descriptor, 2 ** 34 + 2 ** 20)
    return null
  } catch (error) {
    return (error as Error).message
  } finally {
    closeSync(descriptor)
    rmSync(file)
  }
}

const cannot = noHoles()
if (cannot !== null) console.log(`test/format/failure-list.test.ts: A17 is skipped: ${cannot} (${os.tmpdir()})`)
const withHoles = cannot === null ? test : test.skip

describe('A17: files past 2 GiB', () => {
  withHoles.each([
    ['2 GiB and a bit', 2 ** 29 + 1],
    ['4 GiB and a bit', 2 ** 30 + 3],
    ['16 GiB, the limit of a tensor', 2 ** 32],
  ])('%s: the header is read, and a tensor at its end', async (_, elements) => {
    const file = at(`${elements}.dcz`)
    sparseFile(file, elements)
    const archive = await openArchive(file)
    expect(archive.byteLength).toBeGreaterThan(4 * elements)
    expect(archive.tensors.get('a')!.elements).toBe(elements)
    expect([...(await archive.decode('z'))]).toEqual([1, 2])
    archive.dispose()
    rmSync(file)
  })

  withHoles('an element more than the limit: LIMIT', async () => {
    sparseFile(at('over.dcz'), 2 ** 32 + 1)
    expect(await code(() => openArchive(at('over.dcz')))).toBe('ERR_DC_LIMIT')
    rmSync(at('over.dcz'))
  })
})

describe('E1: memory of opening', () => {
  // A child of its own: the peak of this process belongs to every test before. Its code is loaded and warm before the first look.
  const growth = (file: string, warm: string, more = '') => {
    const script = `
      const { openArchive } = require(${JSON.stringify(path.resolve(__dirname, '../../dist/index.js'))})
      ;(async () => {
        for (let i = 0; i < 50; i++) (await openArchive(${JSON.stringify(warm)})).dispose()
        const before = process.resourceUsage().maxRSS
        const archive = await openArchive(${JSON.stringify(file)})
        ${more}
        console.log(process.resourceUsage().maxRSS - before)
      })()`
    // Options of the tests' own process (a loader, an inspector) would be loaded and counted in the child.
    const env = { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' }
    const done = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env })
    if (done.status !== 0 || !/^\d+\n$/.test(done.stdout)) {
      throw new Error(`the child: ${done.signal ?? done.status}, ${done.stdout}${done.stderr}`)
    }
    return 1024 * Number(done.stdout)
  }

  onLinux('a file of 12 MiB: at most twice the file and 1 MiB', () => {
    const fileBytes = 12 << 20
    writeFileSync(at('warm.dcz'), golden('scalar.dcz'))
    sparseFile(at('twelve.dcz'), fileBytes / 4)
    const bytes = growth(at('twelve.dcz'), at('warm.dcz'))
    expect(bytes).toBeLessThanOrEqual(2 * fileBytes + (1 << 20))
  })

  onLinux('a few bytes that declare 16 GiB of zeros: opened, and refused by decodeAll, without them', () => {
    writeFileSync(at('warm.dcz'), golden('scalar.dcz'))
    const tensors = [[...name('w'), 1, ...varint(2 ** 32), 0]]
    writeFileSync(at('bomb.dcz'), build({ tensors, totals: { dense: u64(2 ** 34) } }))
    const bytes = growth(
      at('bomb.dcz'),
      at('warm.dcz'),
      `const code = await archive.decodeAll().then(() => 'ok', (error) => error.code)
       if (code !== 'ERR_DC_LIMIT') throw new Error(code)`,
    )
    expect(bytes).toBeLessThanOrEqual(16 << 20)
  })
})
