import type { Site } from '../../compiled/compile-target.ts';
import { adaptersInput } from '../onnx/lora-operator.ts';
import type { TensorInfo } from '../ort/session.ts';
import type { LoraWay } from './feeds.ts';
import { LoraInputs } from './lora-inputs.ts';
import { LoraTables } from './lora-tables.ts';

/** How a graph with these inputs takes adapters. `sites`: its linears that do, in the order in which they were injected. */
export const loraWayOf = (sites: readonly Site[], inputs: readonly Pick<TensorInfo, 'name'>[]): LoraWay =>
  inputs.some(({ name }) => name === adaptersInput) ? new LoraTables(sites) : new LoraInputs(sites);
