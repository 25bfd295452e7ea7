import type { NetName } from './lenet.js'

/** One phase of training: how long, how fast, and on which variation of the images. */
export interface Phase {
  epochs: number
  rate: number
}

/** Every number of a demo run. Fixed in advance: the test images play no part in any choice while it runs. */
export interface DemoRecipe {
  batch: number
  /** Each training image is moved by up to this many pixels. */
  shift: number
  dense: Phase
  /** `until`: part of the retraining during which the density falls from 1 to its target. */
  retrain: Phase & { until: number }
  centroids: Phase
  /** Share of the weights that is kept, and number of shared values, of each kernel. */
  density: Readonly<Record<string, number>>
  clusters: Readonly<Record<string, number>>
}

export const RECIPES: Readonly<Record<NetName, DemoRecipe>> = {
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
