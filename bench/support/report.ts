import { type Case, interleave, type Measured, machine } from '../../src/bench/timing'

/** Runs the cases and prints them, ratio to the first one first; `--json` prints one JSON document instead. */
export async function measure(title: string, cases: readonly Case[], rounds = 9): Promise<Measured[]> {
  const measured = await interleave(cases, rounds)
  const unit = measured[0]!.minMs
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify({ title, machine: machine(), rounds, cases: measured }))
  } else {
    const { cpu, cores, isa } = machine()
    console.log(`${title} (${cpu}, ${cores} cores, ${isa}; ${rounds} rounds in turn)`)
    for (const { name, minMs, medianMs } of measured) {
      const ratio = `${(minMs / unit).toFixed(2)}x`.padStart(9)
      console.log(
        `${ratio}  min ${minMs.toFixed(2).padStart(9)} ms  median ${medianMs.toFixed(2).padStart(9)} ms  ${name}`,
      )
    }
  }
  return measured
}
