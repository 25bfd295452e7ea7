import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { cleanup } from '../../src/container/temporaries.js'
import { type Answer, Saver, Strace, straceRefusal } from '../support/save-process.js'

const OLD = { bytes: 300_000, value: 1 }
const NEW = { bytes: 786_432, chunk: 262_144, value: 2 }
const MODES = ['async', 'sync'] as const
/** The system calls of a save. */
const CALLS = 'openat,pwrite64,pread64,statx,readlink,fchmod,fchown,fsync,close,link,rename,unlink'

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dc-faults-'))
})
afterEach(() => {
  Saver.killAll()
  fs.rmSync(folder, { recursive: true, force: true })
})

/** 'old', 'new', 'absent', or what is wrong with the file. */
function stateOf(target: string): string {
  if (!fs.existsSync(target)) return 'absent'
  const bytes = fs.readFileSync(target)
  for (const [name, is] of Object.entries({ old: OLD, new: NEW })) {
    if (bytes.length === is.bytes && bytes.every((byte) => byte === is.value)) return name
  }
  return `torn: ${bytes.length} bytes beginning with ${bytes[0]}`
}

const temporaries = () => fs.readdirSync(folder).filter((name) => name.startsWith('.dcz-tmp-'))

/** Runs where strace can trace; elsewhere says why not. */
const refusal = straceRefusal()
const traced = refusal ? it.skip : it
if (refusal) console.log(`SKIPPED fault injection and kill at every system call: ${refusal}`)

/** The calls of one save in order, as [name, which one of its name]. */
async function callsOfASave(mode: 'async' | 'sync', target: string): Promise<{ name: string; nth: number }[]> {
  const saver = new Saver()
  const pid = await saver.ready()
  await saver.save({ mode, target, ...NEW })
  const strace = new Strace(pid, ['-e', `trace=${CALLS}`])
  await strace.attached()
  expect(await saver.save({ mode, target, ...NEW })).toMatchObject({ ok: true })
  const output = await strace.detach()
  await saver.end()
  const counts = new Map<string, number>()
  return [...output.matchAll(/^(?:\[pid +\d+\] )?([a-z0-9]+)\(/gm)].map(([, name]) => {
    counts.set(name!, (counts.get(name!) ?? 0) + 1)
    return { name: name!, nth: counts.get(name!)! }
  })
}

describe('errors of the system at every call of a save', () => {
  const FAULTS: Record<string, string[]> = {
    openat: ['EIO', 'EMFILE', 'EINTR', 'ENOSPC', 'EAGAIN'],
    pwrite64: ['EIO', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EINTR', 'EAGAIN'],
    pread64: ['EIO', 'EINTR'],
    statx: ['EIO', 'EINTR'],
    fchmod: ['EIO', 'EINTR'],
    fsync: ['EIO', 'ENOSPC', 'EDQUOT', 'EINTR'],
    close: ['EIO', 'ENOSPC'],
    rename: ['EIO', 'ENOSPC', 'EINTR'],
  }
  const PASSING = ['EINTR', 'EAGAIN']

  for (const mode of MODES) {
    traced(
      `leaves the old file or the new one, reports what failed and removes the temporary (${mode})`,
      async () => {
        const target = path.join(folder, 'model.dcz')
        const calls = await callsOfASave(mode, target)
        expect(calls.map((call) => call.name)).toEqual(
          ['statx', 'openat', 'pwrite64', 'pwrite64', 'pwrite64', 'fchmod', 'statx', 'fsync', 'close', 'openat'].concat(
            ['pread64', 'pread64', 'close', 'rename', 'openat', 'fsync', 'close'],
          ),
        )
        const renameAt = calls.findIndex((call) => call.name === 'rename')
        const saver = new Saver()
        const pid = await saver.ready()
        await saver.save({ mode, target, ...NEW })
        const descriptors = await saver.descriptors()
        let faults = 0
        for (const [position, call] of calls.entries()) {
          for (const fault of FAULTS[call.name]!) {
            fs.writeFileSync(target, new Uint8Array(OLD.bytes).fill(OLD.value))
            const strace = new Strace(pid, [
              '-e',
              `trace=${call.name}`,
              '-e',
              `inject=${call.name}:error=${fault}:when=${call.nth}`,
            ])
            await strace.attached()
            const answer = (await saver.save({ mode, target, ...NEW })) as Answer
            const log = await strace.detach()
            const at = `${fault} at ${call.name} ${call.nth}`
            expect(`${at}: ${log}`).toContain('(INJECTED)')
            if (PASSING.includes(fault)) {
              expect([at, answer.ok, stateOf(target)]).toEqual([at, true, 'new'])
            } else {
              expect([at, answer.ok, answer.code, answer.message]).toEqual([
                at,
                false,
                'ERR_DC_IO',
                expect.stringContaining(fault),
              ])
              expect([at, stateOf(target)]).toEqual([at, position <= renameAt ? 'old' : 'new'])
            }
            expect([at, temporaries()]).toEqual([at, []])
            faults++
          }
        }
        // An injected error keeps `close` from happening at all, so only those descriptors may have stayed.
        const closes = calls.filter((call) => call.name === 'close').length * FAULTS.close!.length
        expect(await saver.descriptors()).toBe(descriptors + closes)
        await saver.end()
        expect(faults).toBeGreaterThan(50)
      },
      120_000,
    )

    traced(
      `writes on after short counts, and ends when a write takes nothing (${mode})`,
      async () => {
        const target = path.join(folder, 'model.dcz')
        const saver = new Saver()
        const pid = await saver.ready()
        await saver.save({ mode, target, ...NEW })
        // An injected count writes nothing itself, so the file has a hole and the read-back must see it.
        for (const [count, nth] of [
          [1000, 1],
          [262_143, 2],
          [1, 3],
        ] as const) {
          fs.writeFileSync(target, new Uint8Array(OLD.bytes).fill(OLD.value))
          const strace = new Strace(pid, ['-e', 'trace=pwrite64', '-e', `inject=pwrite64:retval=${count}:when=${nth}`])
          await strace.attached()
          const answer = await saver.save({ mode, target, ...NEW })
          const log = await strace.detach()
          expect(log.match(/pwrite64\(/g)!.length).toBe(4) // three chunks, one of them in two calls
          expect(answer).toMatchObject({
            ok: false,
            code: 'ERR_DC_IO',
            message: expect.stringContaining('read back differs'),
          })
          expect([stateOf(target), temporaries()]).toEqual(['old', []])
        }
        const strace = new Strace(pid, ['-e', 'trace=pwrite64', '-e', 'inject=pwrite64:retval=0:when=2'])
        await strace.attached()
        const answer = await saver.save({ mode, target, ...NEW })
        await strace.detach()
        expect(answer).toMatchObject({ ok: false, code: 'ERR_DC_IO', message: expect.stringContaining('answered 0') })
        expect([stateOf(target), temporaries()]).toEqual(['old', []])
        await saver.end()
      },
      60_000,
    )
  }
})

describe('SIGKILL', () => {
  for (const mode of MODES) {
    traced(
      `at every system call of a save leaves the old or the new file, whole (${mode})`,
      async () => {
        const target = path.join(folder, 'model.dcz')
        const calls = await callsOfASave(mode, target)
        const renameAt = calls.findIndex((call) => call.name === 'rename')
        for (const [position, call] of calls.entries()) {
          fs.writeFileSync(target, new Uint8Array(OLD.bytes).fill(OLD.value))
          const saver = new Saver()
          const pid = await saver.ready()
          await saver.save({ mode, target: path.join(folder, 'warm.dcz'), ...NEW })
          const strace = new Strace(pid, [
            '-e',
            `trace=${call.name}`,
            '-e',
            `inject=${call.name}:signal=KILL:when=${call.nth}`,
          ])
          await strace.attached()
          saver.order({ mode, target, ...NEW })
          expect((await saver.exited).signal).toBe('SIGKILL')
          await strace.detach()
          const at = `kill at ${call.name} ${call.nth}`
          // The signal comes when the call returns, or before it runs; a rename may or may not have happened.
          const expected = position < renameAt ? ['old'] : position === renameAt ? ['old', 'new'] : ['new']
          expect([at, expected]).toEqual([at, expect.arrayContaining([stateOf(target)])])
        }
      },
      120_000,
    )
  }

  it('at 200 random times leaves the old or the new file, whole, and cleanup sweeps what stayed', async () => {
    const states = new Map<string, number>()
    let stale = 0
    for (let round = 0; round < 200; round += 4) {
      // Four at a time: process start is what costs.
      await Promise.all(
        [0, 1, 2, 3].map(async (lane) => {
          const file = path.join(folder, `model-${lane}.dcz`)
          fs.writeFileSync(file, new Uint8Array(OLD.bytes).fill(OLD.value))
          const saver = new Saver()
          await saver.ready()
          for (let i = 0; i < 50; i++) saver.order({ mode: i % 2 ? 'sync' : 'async', target: file, ...NEW })
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 40))
          saver.child.kill('SIGKILL')
          await saver.exited
          const state = stateOf(file)
          states.set(state, (states.get(state) ?? 0) + 1)
        }),
      )
      stale += temporaries().length
      await cleanup(folder)
      expect(temporaries()).toEqual([])
    }
    expect([...states.keys()].filter((state) => state !== 'old' && state !== 'new')).toEqual([])
    expect((states.get('old') ?? 0) + (states.get('new') ?? 0)).toBe(200)
    expect(stale).toBeGreaterThan(0) // else no kill came while a save was under way, and the test proved nothing
  }, 120_000)
})

describe('no room', () => {
  for (const mode of MODES) {
    it(`a file-size limit (prlimit --fsize) ends in an error, the old file stays (${mode})`, async () => {
      try {
        execFileSync('prlimit', ['--version'])
      } catch {
        console.log('SKIPPED: prlimit is not on this machine')
        return
      }
      const target = path.join(folder, 'model.dcz')
      fs.writeFileSync(target, new Uint8Array(OLD.bytes).fill(OLD.value))
      const saver = new Saver(['prlimit', '--fsize=700000'])
      await saver.ready()
      const answer = await saver.save({ mode, target, ...NEW })
      expect(answer).toMatchObject({ ok: false, code: 'ERR_DC_IO', errno: 'EFBIG' })
      expect([stateOf(target), temporaries()]).toEqual(['old', []])
      await saver.end()
    })

    it(`a full disk (1 MiB tmpfs) ends in an error, the old file stays and a smaller save still works (${mode})`, async () => {
      const disk = path.join(folder, 'disk')
      fs.mkdirSync(disk)
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' })
      } catch (error) {
        console.log(
          `SKIPPED: no tmpfs can be mounted here (needs root): ${String((error as Error).message).slice(0, 120)}`,
        )
        return
      }
      try {
        const target = path.join(disk, 'model.dcz')
        fs.writeFileSync(target, new Uint8Array(OLD.bytes).fill(OLD.value))
        const saver = new Saver()
        await saver.ready()
        const answer = await saver.save({ mode, target, ...NEW })
        expect(answer).toMatchObject({ ok: false, code: 'ERR_DC_IO', errno: 'ENOSPC' })
        expect(stateOf(target)).toBe('old')
        expect(fs.readdirSync(disk)).toEqual(['model.dcz'])
        expect(await saver.save({ mode, target, ...NEW, bytes: 200_000 })).toMatchObject({ ok: true })
        expect(fs.statSync(target).size).toBe(200_000)
        await saver.end()
      } finally {
        execFileSync('umount', [disk])
      }
    })
  }
})
