import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { errno, ioError } from './file-operations.js'

/** Temporaries of saves: their names say who made them, so that those of killed processes can be told and removed. */

const ANOTHER_HOST_STALE_MS = 24 * 3600 * 1000

const TEMPORARY = /^\.dcz-tmp-([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-f]{16}$/

function firstLine(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1').trim()
  } catch {
    return ''
  }
}

/** Start time of a process in clock ticks (field 22 of Linux' stat), '0' where it cannot be told: pids are used again. */
function startOf(pid: number): string {
  const stat = firstLine(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0'
}

let self: { host: string; start: string; umask: number } | undefined

export function identity() {
  self ??= {
    host: createHash('sha256')
      .update(`${os.hostname()}\n${firstLine('/proc/sys/kernel/random/boot_id')}`)
      .digest('hex')
      .slice(0, 8),
    start: startOf(process.pid),
    // process.umask() would set the mask of all threads for a moment
    umask: Number.parseInt(/^Umask:\s*([0-7]+)/m.exec(firstLine('/proc/self/status'))?.[1] ?? '022', 8),
  }
  return self
}

export function temporaryName(): string {
  const { host, start } = identity()
  return `.dcz-tmp-${host}-${process.pid}-${start}-${randomBytes(8).toString('hex')}`
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errno(error) === 'EPERM'
  }
}

/** Temporaries of this process that exist now; removed at its exit, whoever calls it. */
const living = new Set<string>()

/** Removes every temporary of this process at once: for a signal handler that is about to exit. */
export function removeTemporaries(): void {
  for (const file of living) {
    try {
      fs.unlinkSync(file)
    } catch {} // gone already, or cleanup() finds it
  }
  living.clear()
}

export function remember(file: string): void {
  if (living.size === 0) process.on('exit', removeTemporaries)
  living.add(file)
}

export function forget(file: string): void {
  living.delete(file)
  if (living.size === 0) process.removeListener('exit', removeTemporaries)
}

/**
 * Removes what killed saves left in a folder: temporaries whose process is gone, or that were made on another host (or before
 * a reboot) more than a day ago. Those of running processes stay. Answers the paths it removed.
 */
export async function cleanup(folder: string): Promise<string[]> {
  const removed: string[] = []
  const { host } = identity()
  let names: string[]
  try {
    names = await fs.promises.readdir(folder)
  } catch (error) {
    throw ioError('read the folder', folder, error)
  }
  for (const name of names) {
    const parts = TEMPORARY.exec(name)
    if (!parts) continue
    const file = path.join(folder, name)
    const pid = Number(parts[2])
    try {
      const stat = await fs.promises.lstat(file)
      if (!stat.isFile()) continue
      if (parts[1] === host) {
        const started = startOf(pid)
        if (isAlive(pid) && (started === '0' || parts[3] === '0' || started === parts[3])) continue
      } else if (Date.now() - stat.mtimeMs < ANOTHER_HOST_STALE_MS) continue
      await fs.promises.unlink(file)
      removed.push(file)
    } catch (error) {
      if (errno(error) !== 'ENOENT') throw ioError('remove', file, error)
    }
  }
  return removed
}
