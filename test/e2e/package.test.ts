import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(__dirname, '../..')

describe('the packed tarball', () => {
  test('1. holds no build file, so npm starts no compiler on install, and the doors it exports', () => {
    const packed = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }),
    )
    const files = (packed[0].files as { path: string }[]).map((file) => file.path)
    expect(files.filter((file) => /(\.gyp|CMakeLists\.txt|\.cpp|\.h|\.test\.ts)$/.test(file))).toEqual([])
    for (const door of [
      'dist/index.js',
      'dist/index.mjs',
      'dist/web/index.mjs',
      'dist/web/browser/web/index.js',
      'dist/web/browser/package.json',
      'dist/retrain/index.js',
      'dist/cli.js',
    ]) {
      expect(files).toContain(door)
    }
  })

  test('2. has no script that npm runs on install', () => {
    const { scripts, gypfile } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
    expect(gypfile).toBe(false)
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([])
  })
})
