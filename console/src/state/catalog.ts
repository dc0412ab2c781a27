// Names that the conversations need beside the board: of websites and of tags.

import { computed, signal } from '@preact/signals';
import type { Site, Tag } from '../wire/rest.ts';
import { askAll } from '../wire/rest.ts';

export const sites = signal<readonly Site[]>([]);
export const tags = signal<readonly Tag[]>([]);

const siteNames = computed(() => new Map(sites.value.map((site) => [site.site_id, site.name])));
const tagNames = computed(() => new Map(tags.value.map((tag) => [tag.tag_id, tag.name])));

export const siteName = (id: string): string | undefined => siteNames.value.get(id);
export const tagName = (id: string): string | undefined => tagNames.value.get(id);

/** Loads both; what cannot be had leaves its names away. */
export async function loadCatalog(): Promise<void> {
  const [someSites, someTags] = await Promise.allSettled([
    askAll<Site>('/v1/sites'),
    askAll<Tag>('/v1/tags'),
  ]);
  if (someSites.status === 'fulfilled') sites.value = someSites.value;
  if (someTags.status === 'fulfilled') tags.value = someTags.value;
}

export function forgetCatalog(): void {
  sites.value = [];
  tags.value = [];
}
