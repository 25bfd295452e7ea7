// npm run lint: biome (lint and format), tsc (sources, tests, benches), clang-format. `--fix` rewrites.
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { root, run, tool } from './support.mjs'

const fix = process.argv.includes('--fix')
tool('@biomejs/biome/bin/biome', ['check', ...(fix ? ['--write'] : []), '.'])
tool('typescript/bin/tsc', ['--noEmit', '-p', 'tsconfig.test.json'])
const listed = ['native', 'test', 'bench'].flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true })
    .filter((file) => /\.(cpp|h)$/.test(file) && !/(^|\/)(node_modules|build)\//.test(file))
    .map((file) => `${folder}/${file}`),
)
const format = 'node_modules/clang-format/bin/linux_x64/clang-format'
if (process.platform === 'linux' && process.arch === 'x64') {
  run(format, fix ? ['-i', ...listed] : ['--dry-run', '--Werror', ...listed])
} else {
  tool('clang-format/index.js', fix ? ['-i', ...listed] : ['--dry-run', '--Werror', ...listed])
}
