import { resolve } from 'node:path';
import type { ImageReference } from './reference.ts';

/** A namespace, and the identity of a source that answered a request made for it: what the right to an artifact rests on. */
export type Claim = { readonly namespace: string; readonly source: string };

export const isSame = (a: Claim, b: Claim): boolean => a.namespace === b.namespace && a.source === b.source;

/** Who may read is decided by repository; tags and digests are within it. */
export const imageSource = ({ registry, repository }: ImageReference): string =>
  `oci:${registry.toLowerCase()}/${repository}`;

/** A file of a web server. Its query may say what it is, and who may read it. */
export const urlSource = (url: string): string => `http:${new URL(url).href}`;

/** A repository of a hub: who may read is decided by it. */
export const hubSource = (endpoint: string, repo: string): string =>
  `hf:${new URL(endpoint).href.replace(/\/$/, '')}/${repo.toLowerCase()}`;

/** A folder below one of the import roots. */
export const folderSource = (root: string, path: string): string => `path:${resolve(root, path)}`;
