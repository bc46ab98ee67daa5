import { askFor, type Offer } from '../../artifact/offer.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import type { Registry } from '../../artifact/registry.ts';
import { refuseWithoutGraph } from './locate.ts';
import { modelLimits } from './model-store.ts';

/**
 * Asks a registry for the manifest of a base model, by the digest of the reference if it has one.
 * @throws AdaptletError those of registries and manifests; MODEL_FILE_MISSING when it holds no base model
 */
export const askForModel = async (
  registry: Pick<Registry, 'manifest'>,
  image: ImageReference,
  where: string,
  signal: AbortSignal,
): Promise<Offer> => {
  const offer = await askFor(registry, image, { limits: modelLimits, where, signal });
  refuseWithoutGraph(offer.manifest, where);
  return offer;
};
