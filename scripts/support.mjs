import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
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
