import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'

const root = path.resolve(__dirname, '../..')
/** The built module: children cannot load TypeScript. `npm test` builds before it tests. */
export const BUILT_SAVE = path.join(root, 'dist/container/save.js')

export interface Order {
  mode: 'async' | 'sync'
  target: string
  bytes: number
  chunk: number
  value: number
  options?: { overwrite?: boolean; verify?: boolean }
}

export interface Answer {
  ok: boolean
  saved?: { path: string; bytes: number; crc32: number }
  code?: string
  errno?: string
  message?: string
  descriptors?: number
}

/** A child that saves on command, with one thread for files, so that its system calls come in one order. */
export class Saver {
  readonly child: ChildProcess
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  private readonly lines: AsyncIterator<string>

  private static readonly running = new Set<Saver>()

  /** Ends what a failed test left running. */
  static killAll(): void {
    for (const saver of Saver.running) saver.child.kill('SIGKILL')
  }

  constructor(prefix: string[] = []) {
    if (!existsSync(BUILT_SAVE)) throw new Error('dist/ is not built: run "npm run build" first')
    const command = [...prefix, process.execPath, path.join(__dirname, 'save-child.cjs'), BUILT_SAVE]
    this.child = spawn(command[0]!, command.slice(1), {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    })
    this.child.stdin!.on('error', () => {}) // it was killed, as tests do
    Saver.running.add(this)
    this.exited = new Promise((resolve) =>
      this.child.on('exit', (code, signal) => {
        Saver.running.delete(this)
        resolve({ code, signal })
      }),
    )
    this.lines = readline.createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]()
  }

  async ready(): Promise<number> {
    return JSON.parse((await this.lines.next()).value).ready
  }

  order(order: Order): void {
    this.child.stdin!.write(`${JSON.stringify(order)}\n`)
  }

  /** The answer to an order, or null when the child died. */
  async answer(): Promise<Answer | null> {
    const line = await this.lines.next()
    return line.done ? null : JSON.parse(line.value)
  }

  /** Order and answer. */
  async save(order: Order): Promise<Answer | null> {
    this.order(order)
    return this.answer()
  }

  /** Open file descriptors of the child. */
  async descriptors(): Promise<number> {
    this.child.stdin!.write('{"mode":"descriptors"}\n')
    return (await this.answer())!.descriptors!
  }

  async end(): Promise<void> {
    this.child.stdin!.end()
    await this.exited
  }
}

/** Strace on a running process; resolves when it is attached. */
export class Strace {
  private readonly child: ChildProcess
  private output = ''
  private readonly ended: Promise<unknown>

  constructor(pid: number, args: string[]) {
    this.child = spawn('strace', ['-f', '-p', String(pid), ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.child.stderr!.on('data', (data) => {
      this.output += data
    })
    this.ended = new Promise((resolve) => this.child.on('close', resolve))
  }

  /** All threads of the process are traced. */
  async attached(): Promise<void> {
    const started = Date.now()
    while (!/attached with \d+ threads/.test(this.output)) {
      if (Date.now() - started > 45000) throw new Error(`strace did not attach: ${this.output}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  /** Detaches; answers what it wrote. */
  async detach(): Promise<string> {
    this.child.kill('SIGINT')
    await this.ended
    return this.output
  }
}

/** Why strace cannot be used here, or null when it can (it may be missing, or tracing forbidden). */
export function straceRefusal(): string | null {
  if (os.platform() !== 'linux') return 'not Linux'
  const tried = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], { encoding: 'utf8' })
  if (tried.error) return `strace: ${tried.error.message}`
  return tried.status === 0 ? null : `strace: ${tried.stderr.slice(0, 200)}`
}
