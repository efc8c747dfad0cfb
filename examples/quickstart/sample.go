//go:build cgo

package main

import (
	"context"
	"errors"
)

// sampleName is the file name of the database that is made when none is given.
const sampleName = "shop.db"

// sample is a small shop. The same statements always make the same rows.
const sample = `
CREATE TABLE customers(
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, city TEXT NOT NULL);
CREATE TABLE products(
	id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE orders(
	id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id),
	placed_at TEXT NOT NULL);
CREATE TABLE order_items(
	order_id INTEGER NOT NULL REFERENCES orders(id),
	product_id INTEGER NOT NULL REFERENCES products(id),
	quantity INTEGER NOT NULL, PRIMARY KEY(order_id, product_id)) WITHOUT ROWID;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800)
INSERT INTO customers SELECT i, 'Customer ' || i, 'customer' || i || '@example.com',
	CASE i % 4 WHEN 0 THEN 'Lisbon' WHEN 1 THEN 'Oslo' WHEN 2 THEN 'Quito' ELSE 'Seoul' END FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
INSERT INTO products SELECT i, 'Product ' || i, 99 + i * 137 % 5000 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO orders SELECT i, 1 + i * 7919 % 800,
	datetime('2025-01-01', (i * 37) || ' minutes') FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)
INSERT INTO order_items SELECT 1 + i % 2000, 1 + (i * 31 + i / 2000) % 200, 1 + i % 3 FROM n;

CREATE INDEX customers_city ON customers(city, name);
CREATE INDEX orders_customer ON orders(customer_id, placed_at);
CREATE INDEX order_items_product ON order_items(product_id);
`

// createSample makes the shop with go-sqlite3: an ordinary SQLite file, as any program
// makes it.
func createSample(ctx context.Context, path string) (err error) {
	db, err := openPlain(path, "rwc")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, sample)
	return err
}
