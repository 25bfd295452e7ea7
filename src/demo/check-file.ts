// Run by the demo in a process of its own: node check-file.js <file.dcz> <net>. Prints one line of JSON.
import { createHash } from 'node:crypto'
import { openArchive } from '../archive.js'
import { countErrors } from './evaluate.js'
import { createNet, type NetName } from './lenet.js'
import { loadTensorFlow } from './load-tfjs.js'
import { loadDigits } from './mnist.js'

export interface FileCheck {
  testError: number
  /** Of the decoded weights as float32, in the order of the net's variables. */
  sha256: string
  decodeSeconds: number
}

async function checkFile(file: string, netName: NetName): Promise<FileCheck> {
  const started = performance.now()
  const archive = await openArchive(file)
  await archive.verify()
  const tf = loadTensorFlow()
  const net = createNet(tf, netName, 0)
  const hash = createHash('sha256')
  for (const [name, variable] of Object.entries(net.variables)) {
    const values = await archive.decode(name)
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    variable.assign(tf.tensor(values, variable.shape))
  }
  const decodeSeconds = (performance.now() - started) / 1000
  archive.dispose()
  const test = await loadDigits('test')
  return { testError: (100 * countErrors(tf, net, test)) / test.count, sha256: hash.digest('hex'), decodeSeconds }
}

if (require.main === module) {
  const [file, net] = process.argv.slice(2)
  checkFile(file!, net as NetName).then(
    (check) => process.stdout.write(`${JSON.stringify(check)}\n`),
    (error: Error) => {
      process.stderr.write(`${error.message}\n`)
      process.exitCode = 1
    },
  )
}
