// npm run bench -- [name...] [--json] [--flag value...]: the benches bench/<name>.bench.ts, one after the other (all without a name).
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { buildNative } from './build.mjs'
import { root, run } from './support.mjs'

const given = process.argv.slice(2)
const firstFlag = given.findIndex((argument) => argument.startsWith('--'))
// A flag may have a value, so names come first.
const names = given.slice(0, firstFlag < 0 ? undefined : firstFlag)
const flags = given.slice(names.length)
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
