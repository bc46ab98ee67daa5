import type { Target } from './target.ts';
import { adapterTargets } from './targets/adapters.ts';
import { answerTargets } from './targets/answers.ts';
import { archiveTargets } from './targets/archives.ts';
import { artifactTargets } from './targets/artifacts.ts';
import { brokenTargets } from './targets/broken.fixture.ts';
import { controlTargets } from './targets/control.ts';
import { credentialTargets } from './targets/credentials.ts';
import { manifestTargets } from './targets/manifests.ts';
import { modelTargets } from './targets/models.ts';
import { planTargets } from './targets/plan.ts';
import { requestTargets } from './targets/requests.ts';
import { trustTargets } from './targets/trust.ts';

/** Every reader of bytes from outside. */
export const targets: readonly Target[] = [
  ...adapterTargets,
  ...archiveTargets,
  ...artifactTargets,
  ...modelTargets,
  ...requestTargets,
  ...answerTargets,
  ...credentialTargets,
  ...controlTargets,
  ...manifestTargets,
  ...trustTargets,
  ...planTargets,
];

export const targetNamed = (name: string): Target => {
  const found = [...targets, ...brokenTargets].find((target) => target.name === name);
  if (found === undefined)
    throw new Error(`no target ${name}; there are ${targets.map((each) => each.name).join(', ')}`);
  return found;
};
