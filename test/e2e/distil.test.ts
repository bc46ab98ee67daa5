import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { trainingTexts } from '../bench/routing/texts.ts';
import { adaptlet } from '../support/cli.ts';
import { minilm } from '../support/models.ts';
import { folderOfTests } from '../support/temporary-folder.ts';

const real = minilm();
const minutes = 60_000;

const route = (digest: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: AdapterRoute
metadata: {name: assistant}
spec:
  model: assistant
  rules: [{name: everyone, targets: [{base: true}]}]
  classifiers:
  - name: intent
    minConfidence: 0.4
    examples: {source: {path: {path: intent}}, digest: "${digest}"}
`;

describe.skipIf(real === undefined)('a table of MiniLM (ADAPTLET_MODELS or ../shared/models)', () => {
  const folder = folderOfTests();

  it(
    'is distilled with a head, checked by lint, and right about names that it never saw',
    async () => {
      const [out, examples] = [join(folder, 'intent'), join(folder, 'training.jsonl')];
      await writeFile(
        examples,
        trainingTexts()
          .map((row) => JSON.stringify(row))
          .join('\n'),
      );
      const flags = [
        '--model',
        real?.modelDir ?? '',
        '-o',
        out,
        '--examples',
        examples,
        '--dimensions',
        '64',
      ];
      const distilled = await adaptlet('classifier', 'distil', ...flags);
      expect(distilled).toMatchObject({ code: 0 });
      const [, digest = ''] = /digest: (sha256:[0-9a-f]{64})/.exec(distilled.stdout) ?? [];
      const again = await adaptlet('classifier', 'distil', ...flags);
      expect(again.stderr).toContain('exists. Name a folder that does not exist');
      expect(await adaptlet('lint', out)).toMatchObject({ code: 0 });
      await writeFile(join(folder, 'route.yaml'), route(digest));
      const intent = join(real?.eval ?? '', 'intent.jsonl');
      const from = ['-f', join(folder, 'route.yaml'), '--classifier', out, '-o', 'json'];
      const calibrated = await adaptlet('calibrate', 'assistant', intent, ...from);
      expect(calibrated).toMatchObject({ code: 0 });
      const found = JSON.parse(calibrated.stdout) as { readonly count: number; readonly accuracy: number };
      expect(found.count).toBe(100);
      expect(found.accuracy).toBeGreaterThan(0.85);
    },
    10 * minutes,
  );
});
