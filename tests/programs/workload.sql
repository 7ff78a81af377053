-- Work for sqlite3.sh.
CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, price INTEGER, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  INSERT INTO customers SELECT i, 'customer ' || i, 'city ' || (i * 7919 % 101) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
  INSERT INTO orders
    SELECT i, i * 7907 % 20000 + 1, i * 104729 % 1000, substr(hex(i * 2654435761), 1, i % 12 + 1) FROM n;
COMMIT;
CREATE INDEX orders_by_customer ON orders(customer);
CREATE INDEX orders_by_note ON orders(note, price);
ANALYZE;
SELECT city, count(*), sum(price) FROM orders JOIN customers ON customers.id = customer
  GROUP BY city ORDER BY 3 DESC, 1 LIMIT 10;
SELECT note, count(*) AS c FROM orders GROUP BY note HAVING c > 20 ORDER BY c DESC, note LIMIT 10;
SELECT length(group_concat(name, '/')) FROM customers;
SELECT sum(r) FROM (SELECT rank() OVER (PARTITION BY customer ORDER BY price, id) AS r FROM orders);
SELECT a.id, b.id FROM orders a JOIN orders b ON a.note = b.note AND a.price = b.price AND a.id < b.id
  ORDER BY a.price DESC, a.id, b.id LIMIT 10;
DELETE FROM orders WHERE price % 3 = 0;
UPDATE orders SET note = note || note || zeroblob(20) WHERE price % 7 = 1;
SELECT count(*), sum(length(note)) FROM orders;
