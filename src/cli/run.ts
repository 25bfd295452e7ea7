import { removeTemporaries } from '../container/temporaries.js'
import type { JobOptions } from '../tensor.js'
import { describeError, EXIT, errorLine, exitCodeOf } from './exit-code.js'
import { ProgressDisplay } from './progress.js'

/** Options that every command has. */
export interface SharedOptions {
  json?: boolean
  quiet?: boolean
  threads?: number
}

export interface Run {
  readonly job: JobOptions
  readonly progress: ProgressDisplay
  /** Prints a result: the object with --json, else the text. */
  result(json: object, text: string): void
}

/** Raw text on stdout. */
export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

const SIGNALS = { SIGINT: EXIT.interrupted, SIGTERM: 143, SIGHUP: 129 } as const
/** How long a running job may take to end after a signal. */
const GRACE_MS = 2000

/**
 * Runs one command: signals abort its job and end it with 128 + the signal's number, temporaries removed; failures go to stderr as
 * one line (with --json also to stdout as an object). `action` may answer an exit code of its own.
 */
export async function runCommand(
  options: SharedOptions,
  // biome-ignore lint/suspicious/noConfusingVoidType: most commands answer nothing
  action: (run: Run) => Promise<number | void>,
): Promise<void> {
  const abort = new AbortController()
  let interruptedBy: keyof typeof SIGNALS | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    const exitNow = () => {
      removeTemporaries()
      process.exit(SIGNALS[interruptedBy!])
    }
    if (interruptedBy) exitNow() // the second time: at once
    interruptedBy = signal as keyof typeof SIGNALS
    abort.abort(new Error(signal))
    setTimeout(exitNow, GRACE_MS).unref()
  }
  for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal)

  const progress = new ProgressDisplay(process.stderr, options.quiet === true)
  const job: JobOptions = { signal: abort.signal, onProgress: progress.onProgress }
  if (options.threads !== undefined) job.threads = options.threads
  const run: Run = {
    job,
    progress,
    result: (json, text) => print(options.json ? JSON.stringify({ schemaVersion: 1, ...json }, null, 2) : text),
  }
  try {
    const code = await action(run)
    progress.clear()
    process.exitCode = code ?? EXIT.ok
  } catch (error) {
    progress.clear()
    process.exitCode = interruptedBy ? SIGNALS[interruptedBy] : exitCodeOf(error)
    if (interruptedBy) process.stderr.write(`deepcompress: interrupted (${interruptedBy})\n`)
    else process.stderr.write(`deepcompress: ${errorLine(error)}\n`)
    if (process.exitCode === EXIT.internal && process.env.DEEP_COMPRESSION_DEBUG) console.error(error)
    if (options.json) run.result({ error: describeError(error) }, '')
  } finally {
    for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, onSignal)
  }
}
