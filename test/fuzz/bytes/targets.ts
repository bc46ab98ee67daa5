import type { Target } from './target.ts';
import { adapterTargets } from './targets/adapters.ts';
import { archiveTargets } from './targets/archives.ts';
import { artifactTargets } from './targets/artifacts.ts';
import { brokenTargets } from './targets/broken.fixture.ts';
import { controlTargets } from './targets/control.ts';
import { credentialTargets } from './targets/credentials.ts';
import { manifestTargets } from './targets/manifests.ts';
import { modelTargets } from './targets/models.ts';
import { requestTargets } from './targets/requests.ts';

/** Every reader of bytes from outside. */
export const targets: readonly Target[] = [
  ...adapterTargets,
  ...archiveTargets,
  ...artifactTargets,
  ...modelTargets,
  ...requestTargets,
  ...credentialTargets,
  ...controlTargets,
  ...manifestTargets,
];

export const targetNamed = (name: string): Target => {
  const found = [...targets, ...brokenTargets].find((target) => target.name === name);
  if (found === undefined)
    throw new Error(`no target ${name}; there are ${targets.map((each) => each.name).join(', ')}`);
  return found;
};
