// npm run bench -- [name...] [--json]: the benches bench/<name>.bench.ts, one after the other (all without a name).
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { buildNative } from './build.mjs'
import { root, run } from './support.mjs'

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('--'))
const known = readdirSync(path.join(root, 'bench'))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
const unknown = names.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`no bench ${unknown.join(', ')}; there are: ${known.join(', ')}`)
  process.exit(2)
}
buildNative()
for (const name of names.length > 0 ? names : known) {
  run(process.execPath, ['-r', './bench/support/register.cjs', `bench/${name}.bench.ts`, ...flags])
}
