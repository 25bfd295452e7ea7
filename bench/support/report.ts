import { Bench } from 'tinybench'
import { type Case, type Measured, machine, spread } from '../../src/bench/timing'

/**
 * One tinybench sample of every case in turn, `rounds` times after one round to warm up: tinybench alone runs a case to its end
 * before the next, and what disturbs a shared machine then meets only one of them.
 */
async function interleave(cases: readonly Case[], rounds: number): Promise<MeasuredInTurn[]> {
  const times = cases.map((): number[] => [])
  for (let round = -1; round < rounds; round++) {
    const bench = new Bench({ iterations: 1, time: 0, warmup: false, retainSamples: true, throws: true })
    for (const [i, { run }] of cases.entries()) bench.add(String(i), run)
    for (const [i, { result }] of (await bench.run()).entries()) {
      if (round < 0) continue
      if (!('latency' in result)) throw new Error(`${cases[i]!.name} gave no sample`)
      times[i]!.push(result.latency.min)
    }
  }
  return cases.map(({ name }, i) => {
    const ratios = times[i]!.map((time, round) => time / times[0]![round]!)
    return { name, ...spread(times[i]!), medianRatio: spread(ratios).medianMs }
  })
}

/** `medianRatio`: median over the rounds of the case's time by the first case's time in the same round. */
type MeasuredInTurn = Measured & { medianRatio: number }

/** Runs the cases and prints them, ratio of the minima and median ratio to the first one first; `--json` prints one JSON document instead. */
export async function measure(title: string, cases: readonly Case[], rounds = 9): Promise<MeasuredInTurn[]> {
  const measured = await interleave(cases, rounds)
  const unit = measured[0]!.minMs
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify({ title, machine: machine(), rounds, cases: measured }))
  } else {
    const { cpu, cores, isa } = machine()
    console.log(`${title} (${cpu}, ${cores} cores, ${isa}; ${rounds} rounds in turn)`)
    for (const { name, minMs, medianMs, medianRatio } of measured) {
      const ratio = `${(minMs / unit).toFixed(2)}x`.padStart(9)
      console.log(
        `${ratio} ${medianRatio.toFixed(2).padStart(8)}x  min ${minMs.toFixed(2).padStart(9)} ms  median ${medianMs.toFixed(2).padStart(9)} ms  ${name}`,
      )
    }
  }
  return measured
}
