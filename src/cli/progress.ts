import type { Progress } from '../tensor.js'
import { clean } from './exit-code.js'

const BAR_CELLS = 24
const REDRAW_MS = 100

/** Progress of a command on stderr: a bar on a terminal, a line for each stage of each tensor elsewhere, nothing when quiet. */
export class ProgressDisplay {
  private total = 0
  private done = 0
  private current = ''
  private drawnAt = 0
  private drawn = false

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly quiet: boolean,
  ) {}

  /** What the whole command has to do, in weights. */
  begin(total: number): void {
    this.total = total
    this.done = 0
  }

  /** A tensor is finished. */
  advance(weights: number): void {
    this.done += weights
    this.draw(this.done / this.total, this.current, false)
  }

  readonly onProgress: Progress = ({ stage, tensor, done, total }) => {
    const label = `${stage} ${tensor}`.trim()
    if (this.quiet) return
    if (!this.stream.isTTY) {
      if (label !== this.current) this.stream.write(`${clean(label)}\n`)
      this.current = label
      return
    }
    this.current = label
    this.draw(this.total > 0 ? this.done / this.total : total > 0 ? done / total : 0, label, false)
  }

  /** A line that stays. */
  log(message: string): void {
    if (this.quiet) return
    this.clear()
    this.stream.write(`${message.split('\n').map(clean).join('\n')}\n`)
  }

  private draw(share: number, label: string, force: boolean): void {
    if (this.quiet || !this.stream.isTTY) return
    const time = Date.now()
    if (!force && time - this.drawnAt < REDRAW_MS) return
    this.drawnAt = time
    this.drawn = true
    const bounded = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0))
    const full = Math.round(BAR_CELLS * bounded)
    const bar = '#'.repeat(full) + '-'.repeat(BAR_CELLS - full)
    const line = `[${bar}] ${(100 * bounded).toFixed(0).padStart(3)} % ${clean(label)}`
    this.stream.write(`\r\x1b[K${line.slice(0, Math.max(20, (this.stream.columns ?? 80) - 1))}`)
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.drawn) this.stream.write('\r\x1b[K')
    this.drawn = false
  }
}
