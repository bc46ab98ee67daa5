import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import { peerOrder } from '../../artifact/peer-site.ts';
import type { Collection, Read, RuntimeObject } from '../objects/objects.ts';

/** On the AdapterRuntime of a runtime of a node: IP address and port where the others of its site get blobs. */
export const peerAnnotation = 'adaptlet.io/peer-address';

/** Runtimes that one is told of. In a larger site all who fetch the same are told of the same ones. */
export const mostPeers = 32;

export type SitesOptions = {
  readonly runtimes: Collection<RuntimeObject>;
  /** Label of AdapterRuntimes whose value is the site. */
  readonly label: string;
  /** Those of ServiceAccounts that may serve nodes: who writes AdapterRuntimes elsewhere is no runtime of a node. */
  readonly namespaces: ReadonlySet<string>;
};

type Place = { readonly site: string; readonly address: string };

/** Runtimes of a site, and those that are told to who fetches something, by what that is. */
type Site = { readonly members: Set<ObjectKey>; readonly told: Map<string, readonly ObjectKey[]> };

/** Things that are fetched in a site for which it is kept who is told: all who fetch the same ask within a short time. */
const mostKept = 256;

/** Which runtimes share a site, and where they are, as all replicas see it in their AdapterRuntimes. */
export class Sites {
  readonly #options: SitesOptions;
  readonly #places = new Map<ObjectKey, Place>();
  readonly #bySite = new Map<string, Site>();
  readonly #end: () => void;

  constructor(options: SitesOptions) {
    this.#options = options;
    for (const read of options.runtimes.list()) this.#put(read.key, this.#placeOf(read));
    this.#end = options.runtimes.onChange(({ key }) =>
      this.#put(key, this.#placeOf(options.runtimes.get(key))),
    );
  }

  /** The site of a runtime; undefined: nobody has said which. */
  siteOf(key: ObjectKey): string | undefined {
    return this.#options.runtimes.get(key)?.metadata.labels?.[this.#options.label] || undefined;
  }

  /** The others of a site. `what` is fetched: where there are many, all who want the same are told of the same ones. */
  peersOf(key: ObjectKey, site: string, what: string): readonly { runtime: ObjectKey; address: string }[] {
    const told = this.#told(site, what).filter((other) => other !== key);
    return told
      .slice(0, mostPeers)
      .map((runtime) => ({ runtime, address: this.#places.get(runtime)?.address ?? '' }));
  }

  /** One more than are told: who asks may be among them. */
  #told(site: string, what: string): readonly ObjectKey[] {
    const { members, told } = this.#bySite.get(site) ?? {};
    if (members === undefined || told === undefined) return [];
    if (members.size <= mostPeers) return [...members];
    const known = told.get(what) ?? (peerOrder(what, [...members]).slice(0, mostPeers + 1) as ObjectKey[]);
    told.delete(what);
    told.set(what, known);
    for (const oldest of told.keys()) {
      if (told.size <= mostKept) break;
      told.delete(oldest);
    }
    return known;
  }

  close(): void {
    this.#end();
  }

  #placeOf(read: Read<RuntimeObject> | undefined): Place | undefined {
    const { label, namespaces } = this.#options;
    if (read === undefined || read.metadata.deletionTimestamp !== undefined) return undefined;
    const site = read.metadata.labels?.[label] ?? '';
    const address = read.metadata.annotations?.[peerAnnotation] ?? '';
    const isAway = read.object?.status?.conditions?.some(
      (c) => c.type === 'Connected' && c.status === 'False',
    );
    const isUsable =
      site !== '' && address !== '' && isAway !== true && namespaces.has(namespaceOf(read.key));
    return isUsable ? { site, address } : undefined;
  }

  #put(key: ObjectKey, place: Place | undefined): void {
    const former = this.#places.get(key);
    if (former !== undefined && former.site !== place?.site) {
      const left = this.#bySite.get(former.site);
      left?.members.delete(key);
      left?.told.clear();
      if (left?.members.size === 0) this.#bySite.delete(former.site);
      this.#places.delete(key);
    }
    if (place === undefined) return;
    this.#places.set(key, place);
    if (former?.site === place.site) return;
    const joined = this.#bySite.get(place.site) ?? { members: new Set(), told: new Map() };
    joined.members.add(key);
    joined.told.clear();
    this.#bySite.set(place.site, joined);
  }
}
