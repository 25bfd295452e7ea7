// npm run build: the addon (cmake-js; `--gyp`: node-gyp) and the JavaScript, each only when older than its sources.
import { copyFileSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, run, stale, tool } from './support.mjs'

export const ADDON = 'build/Release/deep_compression.node'

export function buildNative() {
  if (!stale(ADDON, ['native', 'CMakeLists.txt'])) return
  console.error('building the addon (cmake-js)')
  tool('cmake-js/bin/cmake-js', ['compile', '-p', '2', '--log-level', 'warn'])
}

/** The second build path. node-gyp clears build/ and writes there, in place of what cmake-js made. */
export function buildGyp() {
  const nodedir = path.resolve(process.execPath, '../..')
  tool('node-gyp/bin/node-gyp.js', ['rebuild', `--nodedir=${nodedir}`, '--loglevel=warn'], {
    env: { ...process.env, npm_config_build_from_source: 'true' },
  })
}

export function buildJavaScript() {
  if (
    !stale('dist/.built', [
      'src',
      'tsconfig.json',
      'tsconfig.web.json',
      'package.json',
      'scripts/build.mjs',
      'scripts/esm-doors.mjs',
    ])
  )
    return
  console.error('building dist/ (tsc)')
  tool('typescript/bin/tsc', ['-p', '.'])
  // ES modules for browsers, compiled without the types of Node: what would need Node does not compile.
  tool('typescript/bin/tsc', ['-p', 'tsconfig.web.json'])
  run(process.execPath, ['scripts/esm-doors.mjs'])
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--gyp')) {
    buildGyp()
  } else {
    buildNative()
    buildJavaScript()
  }
  if (process.argv.includes('--prebuild')) {
    const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime
    const platform = `${process.platform}-${process.arch}${musl ? '-musl' : ''}`
    mkdirSync(path.join(root, 'prebuilds'), { recursive: true })
    copyFileSync(path.join(root, ADDON), path.join(root, `prebuilds/${platform}.node`))
  }
}
