// A line plot as SVG text: no package draws two panels in fewer lines than it takes to configure one, and all of them are heavier.

export interface Series {
  name: string
  points: readonly (readonly [x: number, y: number])[]
}

export interface Panel {
  title: string
  xLabel: string
  yLabel: string
  series: readonly Series[]
  /** Default `log`, which has no place for 0. */
  yScale?: 'log' | 'linear'
  /** The largest x on the left. */
  xFalls?: boolean
}

const WIDTH = 460
const HEIGHT = 340
const MARGIN = { left: 64, right: 96, top: 36, bottom: 48 }
const COLOURS = ['#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df', '#57606a']

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

function short(value: number): string {
  const [divisor, unit] = value >= 1e6 ? [1e6, 'M'] : value >= 1e3 ? [1e3, 'k'] : [1, '']
  return `${Number((value / divisor).toPrecision(3))}${unit}`
}

/** At least two powers of ten that enclose all values. */
function decades(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
}

/** Round values at even steps, from 0 or below to at least the largest. */
function steps(values: readonly number[]): number[] {
  const low = Math.min(0, ...values)
  const span = Math.max(...values) - low || 1
  const power = 10 ** Math.floor(Math.log10(span / 4))
  const step = power * [1, 2, 5, 10].find((multiple) => multiple * power * 5 >= span)!
  const from = Math.floor(low / step)
  const to = Math.ceil((low + span) / step - 1e-9)
  return Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12)))
}

function drawPanel({ title, xLabel, yLabel, series, yScale, xFalls }: Panel, offset: number): string {
  const all = series.flatMap(({ points }) => points)
  const xs = decades(all.map(([x]) => x))
  const ys = (yScale === 'linear' ? steps : decades)(all.map(([, y]) => y))
  const yOf = yScale === 'linear' ? (value: number) => value : Math.log
  const place = (at: (value: number) => number, value: number, ticks: readonly number[], from: number, to: number) =>
    from + ((to - from) * (at(value) - at(ticks[0]!))) / (at(ticks.at(-1)!) - at(ticks[0]!))
  const ends = [MARGIN.left, WIDTH - MARGIN.right] as const
  const [first, last] = xFalls ? [ends[1], ends[0]] : ends
  const x = (value: number) => place(Math.log, value, xs, first, last).toFixed(1)
  const y = (value: number) => place(yOf, value, ys, HEIGHT - MARGIN.bottom, MARGIN.top).toFixed(1)
  const [left, right] = ends.map((end) => end.toFixed(1)) as [string, string]
  const [bottom, top] = [y(ys[0]!), y(ys.at(-1)!)]
  const out = [`<g transform="translate(${offset} 0)">`]
  out.push(`<text x="${left}" y="20" font-weight="600">${escaped(title)}</text>`)
  for (const tick of xs) {
    out.push(`<path d="M${x(tick)} ${bottom}V${top}" stroke="#d0d7de"/>`)
    out.push(`<text x="${x(tick)}" y="${Number(bottom) + 16}" text-anchor="middle">${short(tick)}</text>`)
  }
  for (const tick of ys) {
    out.push(`<path d="M${left} ${y(tick)}H${right}" stroke="#d0d7de"/>`)
    out.push(`<text x="${Number(left) - 6}" y="${Number(y(tick)) + 4}" text-anchor="end">${short(tick)}</text>`)
  }
  const middle = (Number(left) + Number(right)) / 2
  out.push(`<text x="${middle}" y="${HEIGHT - 10}" text-anchor="middle">${escaped(xLabel)}</text>`)
  out.push(
    `<text transform="translate(14 ${(Number(top) + Number(bottom)) / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text>`,
  )
  const labels = series.map(({ name, points }, i) => ({ name, colour: COLOURS[i % COLOURS.length]!, points, at: 0 }))
  for (const label of labels) label.at = Number(y(label.points.at(-1)![1]))
  labels.sort((a, b) => a.at - b.at)
  let lowest = -Infinity
  for (const { name, colour, points, at } of labels) {
    const path = points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${x(px)} ${y(py)}`).join('')
    out.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    for (const [px, py] of points) out.push(`<circle cx="${x(px)}" cy="${y(py)}" r="2.5" fill="${colour}"/>`)
    lowest = Math.max(at, lowest + 13)
    out.push(
      `<text x="${Number(x(points.at(-1)![0])) + 8}" y="${(lowest + 4).toFixed(1)}" fill="${colour}">${escaped(name)}</text>`,
    )
  }
  return `${out.join('\n')}\n</g>`
}

/** The panels side by side. */
export function plot(panels: readonly Panel[]): string {
  const size = `width="${WIDTH * panels.length}" height="${HEIGHT}" viewBox="0 0 ${WIDTH * panels.length} ${HEIGHT}"`
  const body = panels.map((panel, i) => drawPanel(panel, i * WIDTH)).join('\n')
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11" fill="#1f2328">
<rect width="100%" height="100%" fill="#fff"/>
${body}
</svg>
`
}
