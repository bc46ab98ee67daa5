import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { parse } from 'yaml';
import { labels } from './labels.ts';

const folder = join(import.meta.dirname, '../crds');

type Definition = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: unknown;
};

/** The CustomResourceDefinitions of crds/, as they are, with the labels of the install. */
export class Crds extends Construct {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    for (const file of readdirSync(folder).toSorted()) {
      const { apiVersion, kind, metadata, spec } = parse(
        readFileSync(join(folder, file), 'utf8'),
      ) as Definition;
      new ApiObject(this, metadata.name, {
        apiVersion,
        kind,
        metadata: { ...metadata, labels: labels() },
        spec,
      });
    }
  }
}
