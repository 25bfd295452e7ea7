import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')

/** Runs a command in the project's root with its output shown; ends this process when it fails. */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options })
  if (done.error) {
    console.error(`${command}: ${done.error.message}`)
    process.exit(1)
  }
  if (done.status !== 0) {
    console.error(`failed (${done.signal ?? `exit ${done.status}`}): ${command} ${args.join(' ')}`)
    process.exit(done.status ?? 1)
  }
}

/** A tool from node_modules, by its script, so that no shell and no PATH is needed. */
export function tool(script, args, options) {
  run(process.execPath, [path.join(root, 'node_modules', script), ...args], options)
}

function newest(folder) {
  let latest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name)
    latest = Math.max(latest, entry.isDirectory() ? newest(full) : statSync(full).mtimeMs)
  }
  return latest
}

/** True when `output` is missing or older than anything in `inputs` (files or folders). */
export function stale(output, inputs) {
  const full = path.join(root, output)
  if (!existsSync(full)) return true
  const made = statSync(full).mtimeMs
  return inputs.some((input) => {
    const at = path.join(root, input)
    return (statSync(at).isDirectory() ? newest(at) : statSync(at).mtimeMs) > made
  })
}

/**
 * Configures and builds `targets` (none: all) in `folder` by CMake, and shows errors only. A folder that another compiler made (another
 * one or another version of it, another generator) is deleted first: CMake would go on with some of its options, or fail.
 */
export function cmake(folder, compiler, options, targets = []) {
  const silent = { stdio: ['ignore', 'ignore', 'inherit'] }
  const generator = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : []
  const version = spawnSync(compiler, ['--version'], { encoding: 'utf8' }).stdout
  const made = [compiler, ...generator, version].join(' ')
  const full = path.join(root, folder)
  const mark = path.join(full, '.compiler')
  if (existsSync(full) && !(existsSync(mark) && readFileSync(mark, 'utf8') === made)) {
    console.error(`${folder} was made by another compiler, or it is not known by which: deleted`)
    rmSync(full, { recursive: true })
  }
  mkdirSync(full, { recursive: true })
  writeFileSync(mark, made)
  run('cmake', ['-S', '.', '-B', folder, ...generator, `-DCMAKE_CXX_COMPILER=${compiler}`, ...options], silent)
  run('cmake', ['--build', folder, '-j', '2', ...(targets.length > 0 ? ['--target', ...targets] : [])], silent)
}
