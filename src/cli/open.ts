import { type Archive, openArchive } from '../archive.js'
import { readStandardInput, STANDARD } from './streams.js'

/** The archive of a command: a file, or standard input. */
export async function openInput(input: string, signal: AbortSignal): Promise<Archive> {
  return openArchive(input === STANDARD ? await readStandardInput(signal) : input)
}
