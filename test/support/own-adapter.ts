import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { artifactOf, type FixtureArtifact, fileLayer } from '../../src/artifact/artifact.fixture.ts';
import { tiny } from './node.ts';

const read = (file: string): Buffer => readFileSync(join(tiny.adapters, 'upper', file));

/** Weights of the adapter `upper`, by a hair different for each number: none shares a blob with another. */
export const ownWeights = (number: number): Buffer => {
  const weights = read('adapter_model.safetensors');
  weights.writeUInt16LE(weights.readUInt16LE(weights.length - 4) ^ number, weights.length - 4);
  return weights;
};

/** The adapter `upper` with weights of its own, as an artifact. */
export const ownAdapter = (number: number): FixtureArtifact =>
  artifactOf([
    fileLayer('adapter_config.json', read('adapter_config.json')),
    fileLayer('adapter_model.safetensors', ownWeights(number)),
  ]);
