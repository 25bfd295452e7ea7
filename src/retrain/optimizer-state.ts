import { DeepCompressionError } from '../errors.js'
import { setLearningRate } from './live-weights.js'
import { readValues, recordOf, type State, writeValues } from './state.js'
import type { Optimizer, TensorFlow, Variable } from './tensorflow.js'

/** How every tfjs optimizer keeps what it remembers of a variable: by position in the list of gradients. */
interface Slot {
  originalName: string
  variable: Variable
}

type Fields = Record<string, unknown>

const isVariable = (value: unknown): value is Variable => typeof (value as Variable | null)?.assign === 'function'
const isSlot = (value: unknown): value is Slot => isVariable((value as Slot | null)?.variable)

/** The lists of slots (momentum's accumulations, Adam's moments, ...), by the optimizer's own field names. */
function slotLists(optimizer: Optimizer): [string, (Slot | null | undefined)[]][] {
  return Object.entries(optimizer as unknown as Fields).filter(
    (entry): entry is [string, (Slot | null)[]] =>
      Array.isArray(entry[1]) && entry[1].every((slot) => slot == null || isSlot(slot)),
  )
}

/** Variables of the optimizer as a whole: Adam's powers of beta and the like. */
function ownVariables(optimizer: Optimizer): [string, Variable][] {
  return Object.entries(optimizer as unknown as Fields).filter((entry): entry is [string, Variable] =>
    isVariable(entry[1]),
  )
}

/**
 * Everything an optimizer carries from one step to the next. tfjs' own getWeights leaves out the powers of Adam's betas and
 * computes them again, to other bytes. Slots go by position: tfjs numbers its variables, so their names differ from run to run.
 */
export function optimizerState(optimizer: Optimizer): State {
  const lists = slotLists(optimizer).map(([field, slots]) => {
    // Array.from: a list may have holes, which map would leave.
    const states = Array.from(slots, (slot) =>
      slot ? { shape: slot.variable.shape, values: readValues(slot.variable) } : null,
    )
    return [field, states]
  })
  return {
    class: optimizer.getClassName(),
    iterations: optimizer.iterations,
    learningRate: (optimizer as unknown as { learningRate?: number }).learningRate ?? null,
    own: Object.fromEntries(ownVariables(optimizer).map(([field, variable]) => [field, readValues(variable)])),
    lists: Object.fromEntries(lists) as State,
  }
}

/** The inverse of `optimizerState`, on an optimizer of the same class. */
export function restoreOptimizer(tf: TensorFlow, optimizer: Optimizer, state: State | undefined): void {
  const saved = recordOf('the optimizer', state, ['class', 'iterations', 'learningRate', 'own', 'lists'])
  if (saved.class !== optimizer.getClassName()) {
    throw new DeepCompressionError(
      'ARG',
      `the checkpoint is of optimizer ${saved.class}, not ${optimizer.getClassName()}`,
    )
  }
  if (typeof saved.learningRate === 'number') setLearningRate(optimizer, saved.learningRate)
  ;(optimizer as unknown as Fields).iterations_ = saved.iterations
  const own = ownVariables(optimizer)
  const values = recordOf(
    'the optimizer',
    saved.own,
    own.map(([field]) => field),
  )
  for (const [field, variable] of own) writeValues(tf, variable, values[field], field)
  const lists = slotLists(optimizer)
  const slots = recordOf(
    'the optimizer',
    saved.lists,
    lists.map(([field]) => field),
  )
  for (const [field, list] of lists) {
    for (const slot of list) slot?.variable.dispose()
    const states = slots[field] as State[]
    list.length = 0
    list.length = states.length
    // A hole, not null, where there is nothing: `optimizer.dispose()` of tfjs reads each element it finds.
    for (const [i, slot] of states.entries()) if (slot !== null) list[i] = slotOf(tf, slot, `${field}/${i}`)
  }
}

function slotOf(tf: TensorFlow, state: State, originalName: string): Slot {
  const { shape, values } = recordOf('a slot', state, ['shape', 'values'])
  const variable = tf.tidy(() => tf.variable(tf.tensor(values as Float32Array, shape as number[], 'float32'), false))
  return { originalName, variable }
}

/** Drops what the optimizer remembers at one position; it begins again from zero at its next step. */
export function clearSlots(optimizer: Optimizer, position: number): void {
  for (const [, list] of slotLists(optimizer)) {
    if (!list[position]) continue
    list[position].variable.dispose()
    // A hole, not null: `optimizer.dispose()` of tfjs reads each element it finds.
    delete list[position]
  }
}
