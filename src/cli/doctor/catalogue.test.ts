import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { clusterFindings, nodeFindings, troubleshooting } from './catalogue.ts';

const page = readFileSync(join(import.meta.dirname, '../../..', troubleshooting), 'utf8');

describe('the page about findings', () => {
  it('has a section for each finding, in the order in which they are printed, and for nothing else', () => {
    const sections = [...page.matchAll(/^### (.+)$/gm)].map(([, id]) => id);
    expect(sections).toEqual([...Object.keys(clusterFindings), ...Object.keys(nodeFindings)]);
  });

  it('says something in each section', () => {
    const texts = page.split(/^### .+$/m).slice(1);
    expect(texts.filter((text) => text.trim().length < 40)).toEqual([]);
  });
});
