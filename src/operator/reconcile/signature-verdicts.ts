import { imageVersion } from '../../api/image.ts';
import type { Digest, ObjectKey } from '../../api/names.ts';
import type { AdapterObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import type { OciSource } from '../../api/source.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type Requirement, requirementOf } from '../../signature/requirement.ts';
import type { Verified } from '../../signature/verify.ts';
import type { Policies } from '../objects/policies.ts';
import type { Resolution, Resolver } from './resolver.ts';

/** What a registry is asked for: whether its artifact is signed as it has to be. */
export type SignatureQuestion = OciSource & { readonly digest: Digest; readonly requirement: Requirement };

/** How it is with the signatures of an Adapter of which some are asked for. */
export type SignatureVerdict = {
  /** What is not signed does not serve; false: it is only told. */
  readonly isRequired: boolean;
  readonly found: Resolution<Verified>;
};

const unsigned = new AdaptletError('SIGNATURE_MISSING', 'only what is in a registry has signatures', {
  advice: 'Push it to a registry with adaptlet push, sign it there, and make an Adapter with source.oci.',
});
const ofElsewhere: Resolution<Verified> = { kind: 'Failed', code: unsigned.code, message: unsigned.message };

/** The digest that plans have: it is pinned, or was resolved. */
const digestOf = ({ spec, status }: AdapterObject): Digest | undefined => {
  const image = spec.source.oci?.image;
  return spec.digest ?? status?.digest ?? (image === undefined ? undefined : imageVersion(image).digest);
};

/**
 * Whether Adapters are signed as the policies of their namespaces, and they themselves, ask. A registry is asked for each
 * once in a term, and again when something else is asked for; what did not do is asked for again by itself.
 */
export class SignatureVerdicts {
  readonly #policies: Pick<Policies, 'of'>;
  readonly #resolver: Resolver<SignatureQuestion, Verified>;
  /** By uid: what was asked. */
  readonly #asked = new Map<string, string>();

  constructor(policies: Pick<Policies, 'of'>, resolver: Resolver<SignatureQuestion, Verified>) {
    this.#policies = policies;
    this.#resolver = resolver;
  }

  /** Asks when nothing is known; undefined: nobody has to have signed it, or there is no digest yet. */
  of(adapter: AdapterObject): SignatureVerdict | undefined {
    const { uid, namespace } = adapter.metadata;
    const { signatures: own, source } = adapter.spec;
    const binding = this.#policies.of(namespace);
    const policy = binding.kind === 'Policy' ? binding.policy : undefined;
    const asking = policy?.spec.signatures;
    const isRequired = asking?.required === true || own !== undefined;
    // What is only told of is not mixed with what decides.
    const counts = policy !== undefined && asking !== undefined && (asking.required || own === undefined);
    const requirement = requirementOf(counts ? { name: keyOf(policy), signatures: asking } : undefined, own);
    const digest = digestOf(adapter);
    if (requirement === undefined || digest === undefined) {
      this.forget(uid);
      return undefined;
    }
    const { oci } = source;
    if (oci === undefined) return { isRequired, found: ofElsewhere };
    const question = `${digest} ${requirement.version}`;
    if (this.#asked.get(uid) !== question) {
      this.#resolver.forget(uid);
      this.#asked.set(uid, question);
    }
    return {
      isRequired,
      found: this.#resolver.of(keyOf(adapter), uid, { ...oci, digest, requirement }),
    };
  }

  /** The object is gone. */
  forget(uid: string): void {
    if (this.#asked.delete(uid)) this.#resolver.forget(uid);
  }

  /** Called for each Adapter of which something else is known. */
  onChange(listener: (key: ObjectKey) => void): () => void {
    return this.#resolver.onChange(listener);
  }
}

/** Why a rollout does not begin with an Adapter; undefined: its signatures are no reason. */
export const whyNotSigned = (verdict: SignatureVerdict | undefined): string | undefined => {
  if (verdict === undefined || !verdict.isRequired) return undefined;
  const { found } = verdict;
  if (found.kind === 'Resolved') return undefined;
  return found.kind === 'Failed' ? `${found.code}: ${found.message}` : 'its signatures are being verified';
};

/** Why nothing goes back to an Adapter; undefined: it is signed, or that is not known. */
export const knownUnsigned = (verdict: SignatureVerdict | undefined): string | undefined =>
  verdict?.found.kind === 'Failed' && verdict.found.code.startsWith('SIGNATURE_')
    ? whyNotSigned(verdict)
    : undefined;
